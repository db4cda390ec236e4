/** Mistakes that users make in what they type and send: whether the answer is in their own words. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../../src/lab/child.js'
import { addresses } from '../../../src/lab/network.js'
import type { Scenario } from '../../checks/scenario.js'
import { ports } from '../../ends.js'
import { programs } from '../../programs.js'
import { type Application, complaints, type Seen, Stage } from '../stage.js'

/** Bytes that WireGuard adds to a packet. */
const wireGuardBytes = 32

const warnings = (child: Child): string[] => complaints(child, 'datagram-oversize')

/** Counts the echoes of `count` datagrams of WireGuard, each with a packet of `mtu` bytes. */
const carried = async (application: Application, mtu: number, count = 5): Promise<string> =>
  `${await application.burst(count, mtu + wireGuardBytes)} of ${count}`

/** Sends datagrams that are too large until the program says so, by flows that worked before. */
const tooLarge = async (stage: Stage, seen: Seen, client: Child, size: number, wanted: RegExp) => {
  const ours = stage.kind === 'ours'
  const applications = [await stage.application(), await stage.application()]
  for (const [flow, application] of applications.entries()) {
    seen.add(`connection ${flow + 1}`, (await application.knock()) !== undefined)
    // A datagram that is dropped has no echo to wait for.
    const came = await application.burst(10, size, ours ? 0 : 1_000)
    if (!ours) {
      const silent = !/WARN|ERROR/u.test(client.stderr)
      seen.add(
        `${came} of 10 large ones come back, ${silent ? 'nothing' : 'something'} is said`,
        came === 10 || !silent,
      )
      continue
    }
    await client.until(() => warnings(client).length === flow + 1, `warning ${flow + 1}`)
    const text = warnings(client)[flow]
    if (flow === 0) seen.add(`says: "${text}"`)
    if (!wanted.test(text)) seen.add(`says: "${text}"`, false)
  }
  if (!ours) return
  await sleep(100)
  const said = warnings(client).length
  seen.add(`${said} warnings for 20 datagrams of 2 connections`, said === 2)
}

/** A command line that is wrong, its exit code, and the words that the answer must have. */
type Wrong = readonly [args: readonly string[], code: 1 | 2, words: RegExp]

const local = ['--local', '127.0.0.1:4500']
const remote = ['--remote', '127.0.0.1:4567']
const client = (...flags: string[]): string[] => ['client', ...local, ...remote, ...flags]
const server = (...flags: string[]): string[] => ['server', '--local', '4567', ...remote, ...flags]

/** The first cases are for the short form. */
const wrong = (folder: string): Wrong[] => [
  [client('--mtu', '100'), 2, /--mtu must be .* from 1280 to 65535, not 100/u],
  [client('--tun', 'tun/x'), 2, /--tun contains no "\/".* unlike "tun\/x"/u],
  [client('--tun-local', '192.168.200.1/24'), 2, /leave the prefix length out/u],
  [client('--idle-timeout', '99999999999'), 2, /from 1 to 604800/u],
  [client('--coalesce-us', '-5'), 2, /--coalesce-us <N>' argument '-5' is invalid\. It must be/u],
  [client('--tun', 'a-name-that-is-too-long'), 2, /--tun has at most 15 characters/u],
  [client('--tun', 'tun%d%d'), 2, /--tun contains one "%d" at most/u],
  [client('--tun', 'lo'), 1, /The interface name "lo" is taken/u],
  [client('--tun', '.'), 2, /--tun cannot be "\."/u],
  [client('--tun-local', '192.168.200.2'), 2, /--tun-local and --tun-peer must differ/u],
  [client('--tun-peer6', '1.2.3.4'), 2, /--tun-peer6 <IP>' argument '1\.2\.3\.4' is invalid\. It must be an IPv6/u],
  [client('--mtu', '70000'), 2, /--mtu must be .* from 1280 to 65535, not 70000/u],
  [client('-4', '--mtu', '500'), 2, /--mtu must be .* from 576 to 65535, not 500/u],
  [client('--mtu', 'big'), 2, /It must be a whole number/u],
  [client('--queues', '0'), 2, /from 1 to 256/u],
  [client('--queues', '2.5'), 2, /It must be a whole number/u],
  [client('--max-flows', '0'), 2, /from 1 to 1048576/u],
  [client('--keepalive', '86401'), 2, /from 0 to 86400/u],
  [client('--log-level', 'loud'), 2, /It must be one of trace, debug/u],
  [client('--tun-fd', '99'), 2, /Descriptor 99 of --tun-fd is not an attached TUN queue/u],
  [client('--user', 'nobody-has-this-name'), 2, /There is no user "nobody-has-this-name"/u],
  [client('--handshake-packet', join(folder, 'none')), 2, /cannot be read \(ENOENT\)/u],
  [client('--nope'), 2, /unknown option '--nope'/u],
  [['client', '--local', '4500', ...remote], 2, /--local must look like 192\.0\.2\.1:4567/u],
  [['client', '--local', 'localhost:4500', ...remote], 2, /--local must be an IPv4 or IPv6 address/u],
  [['client', ...local, '--remote', '192.0.2.1'], 2, /--remote must look like/u],
  [['client', ...local, '--remote', '192.0.2.1/24:4567'], 2, /leave the prefix length out/u],
  [['client', ...local, '--remote', '192.0.2.1:99999'], 2, /port of --remote must be .*, not 99999/u],
  [['client', ...local, '--remote', '[::1]:4567', '-4'], 2, /--remote is an IPv6 address, and --ipv4-only/u],
  [['client', ...local, '--remote', '[fe80::1%eth0]:4567'], 2, /--remote is a link-local address/u],
  [['client', '--local', '[fe80::1]:4500', ...remote], 2, /write \[?fe80::1%eth0/u],
  [['client', '--local', '192.0.2.1%eth0:4500', ...remote], 2, /leave the zone out|zone, which only link-local/u],
  [['client', ...local], 2, /required option '-r, --remote <HOST:PORT>'/u],
  [server('--tun-peer', '2001:db8::1'), 2, /--tun-peer <IP>' argument '2001:db8::1' is invalid\. It must be an IPv4/u],
  [['server', '--local', '127.0.0.1:4567', ...remote], 2, /--local <PORT>' argument '127\.0\.0\.1:4567' is invalid/u],
  [['server', '--local', '0', ...remote], 2, /--local must be .* from 1 to 65535, not 0/u],
  [['serve'], 2, /unknown command 'serve'/u],
]

/** Words of the library, which a user has not typed. */
const foreign = /\b(?:tun\.[a-z]\w*|coalesceUs|maxConnections|ringBytes|idleMs|hostAddress|stackAddress)\b/u

const judgeWrong = async (stage: Stage, [args, wantedCode, words]: Wrong): Promise<string | undefined> => {
  const child = stage.run(stage.network.a, [...programs.tunnel, ...args])
  // A program that accepts the command line would run on.
  const end = setTimeout(() => child.process.kill('SIGKILL'), 15_000)
  const code = await child.ended
  clearTimeout(end)
  const { stderr } = child
  const isSentence = /^[^\n]+\n(?:\(Did you mean [^\n]+\n)?(?:Run with --help to see every option\.\n)?$/u.test(stderr)
  const isClean = isSentence && !foreign.test(stderr) && child.stdout === ''
  if (code === wantedCode && words.test(stderr) && isClean) return undefined
  return `${args.join(' ')}: ${code}, "${stderr.trim().slice(0, 300)}"`
}

export const words: readonly Scenario[] = [
  {
    name: 'wireguard-mtu',
    what: "WireGuard's default MTU of 1420 over an IPv6 underlay: large packets are too large by 12 bytes",
    bar: 'small ones pass, and each connection says once which MTU is right, which then works',
    phantun: true,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        const there = `[${addresses.b.tunPeer6}]:${ports.server}`
        const { client } = await stage.tunnel({ client: { remote: there } })
        await tooLarge(
          stage,
          seen,
          client,
          1_420 + wireGuardBytes,
          /of 1452 bytes .* at most 1440\. .*WireGuard's to 1408,/u,
        )
        const right = await carried(await stage.application(), 1_408)
        seen.add(`MTU 1408: ${right}`, right === '5 of 5')
      }),
  },
  {
    name: 'mtu-too-large',
    what: '`--mtu 9000` at both ends, and the network between them carries 1500; and MTU 1440 in WireGuard over IPv4',
    bar: 'each connection says once which MTU is right, which then works',
    phantun: false,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        const flags = ['--mtu', '9000']
        const { client } = await stage.tunnel({ client: { flags }, server: { flags } })
        await tooLarge(
          stage,
          seen,
          client,
          1_440 + wireGuardBytes,
          /of 1472 bytes .* at most 1460\. .*WireGuard's to 1428,/u,
        )
        const right = await carried(await stage.application(), 1_428)
        seen.add(`MTU 1428: ${right}`, right === '5 of 5')
      }),
  },
  {
    name: 'port-taken',
    what: "WireGuard's own port is given to `--local`, while WireGuard listens there",
    bar: 'a sentence names WireGuard and the way out, exit code 1',
    phantun: true,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        const wireGuard = createSocket('udp4')
        wireGuard.bind(51_820, '127.0.0.1')
        await once(wireGuard, 'listening')
        stage.finally(() => wireGuard.close())
        const client = stage.launch('client', { local: '127.0.0.1:51820' })
        const end = setTimeout(() => client.process.kill('SIGKILL'), context.kind === 'phantun' ? 5_000 : 20_000)
        const code = await client.ended
        clearTimeout(end)
        const text = client.stderr.trim().split('\n').at(-1)
        const isTold = /^fake-tcp: UDP 127\.0\.0\.1:51820 is in use .*WireGuard itself.* 4500 .*\.$/u.test(text ?? '')
        seen.add(`${code}, "${text}"`, isTold && code === 1)
      }),
  },
  {
    name: 'command-lines',
    what: 'command lines that are wrong',
    bar: 'each is told in one sentence, in flags, with exit code 2 (1 where the machine refuses), without a stack',
    phantun: false,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        const all = wrong(stage.folder).slice(0, context.short ? 4 : undefined)
        const bad: string[] = []
        for (let i = 0; i < all.length; i += 2) {
          const pair = await Promise.all(all.slice(i, i + 2).map(each => judgeWrong(stage, each)))
          bad.push(...pair.filter(text => text !== undefined))
        }
        seen.add(`${all.length - bad.length} of ${all.length} are told well`, bad.length === 0)
        for (const text of bad) seen.add(text, false)
        if (context.short) return
        // Command lines that look wrong and are right.
        const small = await stage.start('client', { flags: ['-4', '--mtu', '576'] })
        seen.add('-4 --mtu 576 runs', small.running)
      }),
  },
]
