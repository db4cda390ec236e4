/** Whatever goes wrong at the start is said in one sentence, with an exit code that tells the user's mistakes (2) from the rest (1). */
import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Child } from '../../src/lab/child.js'
import { Side } from '../../src/lab/network.js'
import { cli, startClient } from '../support/programs.js'
import { UdpSource } from '../support/udp-source.js'

const folder = mkdtempSync(join(tmpdir(), 'fake-tcp-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const file = (name: string, bytes: number): string => {
  const path = join(folder, name)
  writeFileSync(path, Buffer.alloc(bytes, 1))
  return path
}

spawnSync('ip', ['link', 'set', 'lo', 'up'])
const local = ['--local', '127.0.0.1:4500']
const remote = ['--remote', '127.0.0.1:4567']
const client = (...flags: string[]) => ['client', ...local, ...remote, ...flags]
const server = (...flags: string[]) => ['server', '--local', '4567', ...remote, ...flags]

interface Ending {
  code: number | string
  stdout: string
  stderr: string
}

const run = async (args: readonly string[], prefix: readonly string[] = []): Promise<Ending> => {
  const child = new Child([...prefix, ...cli, ...args], { name: args.join(' '), seconds: 20 })
  return { code: await child.ended, stdout: child.stdout, stderr: child.stderr }
}

/** One line, one sentence, no stack. */
const judge = (t: Test, { code, stdout, stderr }: Ending, wantedCode: number, wanted: RegExp): void => {
  t.match(stderr, wanted)
  t.match(stderr, /^fake-tcp: [^\n]+\.\n$/u, 'one line')
  t.notMatch(stderr, /\n\s+at |node:internal/u, 'no stack')
  t.equal(stdout, '')
  t.equal(code, wantedCode, 'exit code')
}

t.test('help and version', async t => {
  for (const args of [['--help'], ['help'], ['client', '--help'], ['server', '-h'], ['help', 'client']]) {
    const { code, stdout, stderr } = await run(args)
    t.match(stdout, /^Usage: fake-tcp/u)
    t.same({ code, stderr }, { code: 0, stderr: '' }, args.join(' '))
  }
  for (const flag of ['--version', '-V']) {
    const { code, stdout, stderr } = await run([flag])
    t.match(stdout, /^\d+\.\d+\.\d+\n$/u)
    t.same({ code, stderr }, { code: 0, stderr: '' }, flag)
  }
  const { code, stderr } = await run([])
  t.match(stderr, /^Usage: fake-tcp/u)
  t.equal(code, 2, 'no command')
})

t.test('flags', async t => {
  const cases: [args: string[], wanted: RegExp][] = [
    [['client'], /^error: required option '-l, --local <IP:PORT>' not specified\n/u],
    [['client', ...local], /^error: required option '-r, --remote <HOST:PORT>' not specified\n/u],
    [['server', '--local', '1'], /^error: required option '-r, --remote <HOST:PORT>' not specified\n/u],
    [client('--nope'), /^error: unknown option '--nope'\n/u],
    [['nope'], /^error: unknown command 'nope'\n/u],
    [client('surplus'), /^error: too many arguments for 'client'/u],
    [
      ['server', '--local', 'x', ...remote],
      /^error: option '-l, --local <PORT>' argument 'x' is invalid\. It must be/u,
    ],
    [
      client('--tun-local', '1.2.3'),
      /^error: option '--tun-local <IP>' argument '1\.2\.3' is invalid\. It must be an IPv4/u,
    ],
    [
      client('--tun-peer6', '1.2.3.4'),
      /^error: option '--tun-peer6 <IP>' argument '1\.2\.3\.4' is invalid\. It must be an IPv6/u,
    ],
    [
      client('--tun-local', '192.168.200.1/24'),
      /argument '192\.168\.200\.1\/24' is invalid\. It must be an IPv4 address, not .*: leave the prefix length out/u,
    ],
    [client('--queues', '-1'), /^error: option '--queues <N>' argument '-1' is invalid\. It must be/u],
    [client('--queues', '0'), /^error: option '--queues <N>' argument '0' is invalid\. It must be from 1 to 256\./u],
    [client('--queues', '257'), /It must be from 1 to 256\./u],
    [client('--coalesce-us', '1000001'), /It must be from 0 to 1000000\./u],
    [client('--keepalive', '86401'), /It must be from 0 to 86400\./u],
    [client('--idle-timeout', '99999999999'), /It must be from 1 to 604800\./u],
    [client('--max-flows', '0'), /It must be from 1 to 1048576\./u],
    [server('--max-flows', '99999999999999999999'), /It must be from 1 to 1048576\./u],
    [client('--idle-timeout', '0'), /^error: option '--idle-timeout <SECONDS>' argument '0' is invalid\. It must be/u],
    [client('--log-level', 'loud'), /^error: option '--log-level <LEVEL>' argument 'loud' is invalid\. It must be/u],
  ]
  for (const [args, wanted] of cases) {
    const { code, stdout, stderr } = await run(args)
    t.match(stderr, wanted)
    t.match(stderr, /^[^\n]+\nRun with --help to see every option\.\n$/u, 'one sentence and a hint')
    t.same({ code, stdout }, { code: 2, stdout: '' }, args.join(' '))
  }
})

t.test('values', async t => {
  const cases: [args: string[], wanted: RegExp][] = [
    [['client', '--local', 'foo', ...remote], /--local must look like .*, not "foo"/u],
    [['client', '--local', 'localhost:4500', ...remote], /The address of --local must be an IPv4 or IPv6 address/u],
    [['client', '--local', '127.0.0.1:0', ...remote], /The port of --local must be .* from 1 to 65535, not 0/u],
    [['client', '--local', '127.0.0.1:70000', ...remote], /The port of --local must be .*, not 70000/u],
    [['client', ...local, '--remote', '192.0.2.1'], /--remote must look like .*, not "192\.0\.2\.1"/u],
    [['client', ...local, '--remote', '192.0.2.1:99999'], /The port of --remote must be .*, not 99999/u],
    [['client', ...local, '--remote', '[::1]:4567', '-4'], /--remote is an IPv6 address/u],
    [['server', '--local', '0', ...remote], /--local must be .* from 1 to 65535, not 0/u],
    [client('--tun', 'a-name-that-is-too-long'), /has at most 15 characters, "a-name-that-is-too-long" has 23/u],
    [client('--tun-local', '192.168.200.2'), /must differ, both are 192\.168\.200\.2/u],
    [client('--mtu', '100'), /mtu must be a whole number from 1280 to 65535, not 100/u],
    [
      ['client', ...local, '--remote', '[fe80::1%eth0]:4567'],
      /--remote is a link-local address, and the TUN interface is a link of its own/u,
    ],
    [['client', '--local', '[fe80::1]:4500', ...remote], /--local is link-local, and needs the name of its interface/u],
    [
      ['server', '--local', '4567', '--remote', '192.0.2.1/24:4600'],
      /not "192\.0\.2\.1\/24": leave the prefix length out/u,
    ],
    [client('--handshake-packet', join(folder, 'none')), /handshake packet .*none cannot be read \(ENOENT\)/u],
    [client('--handshake-packet', folder), /cannot be read \(EISDIR\)/u],
    [client('--handshake-packet', file('empty', 0)), /is empty/u],
    [client('--handshake-packet', file('long', 1_461)), /has 1461 bytes: one datagram has at most 1460/u],
    [server('--handshake-packet', join(folder, 'none')), /handshake packet .*none cannot be read \(ENOENT\)/u],
  ]
  for (const [args, wanted] of cases) {
    await t.test(args.join(' '), async t => judge(t, await run(args), 2, wanted))
  }
})

t.test('interface names that are taken', async t => {
  const tun = spawnSync('ip', ['tuntap', 'add', 'dev', 'taken', 'mode', 'tun'])
  t.equal(tun.status, 0)
  judge(t, await run(client('--tun', 'taken')), 1, /The interface name "taken" is taken/u)
  judge(t, await run(server('--tun', 'taken')), 1, /The interface name "taken" is taken/u)
  judge(t, await run(client('--tun', 'lo')), 1, /The interface name "lo" is taken/u)
  spawnSync('ip', ['link', 'delete', 'taken'])
})

t.test('a UDP port that is taken', async t => {
  const socket = createSocket('udp4')
  socket.bind(4500, '127.0.0.1')
  await once(socket, 'listening')
  judge(t, await run(client()), 1, /UDP 127\.0\.0\.1:4500 is in use by another program/u)
  socket.close()
  const wireGuard = createSocket('udp4')
  wireGuard.bind(51820, '127.0.0.1')
  await once(wireGuard, 'listening')
  const usual = ['client', '--local', '127.0.0.1:51820', ...remote]
  judge(t, await run(usual), 1, /127\.0\.0\.1:51820 is in use .*, perhaps by WireGuard itself \(its ListenPort\)/u)
  wireGuard.close()
})

t.test('no permission', async t => {
  const without = ['setpriv', '--bounding-set', '-all', '--inh-caps', '-all', '--']
  const wanted = /needs the CAP_NET_ADMIN capability and access to \/dev\/net\/tun/u
  judge(t, await run(client(), without), 1, wanted)
  judge(t, await run(server(), without), 1, wanted)
})

t.test('no /dev/net/tun', async t => {
  const hide = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /dev/net && exec "$0" "$@"']
  judge(t, await run(client(), hide), 1, /\/dev\/net\/tun is missing/u)
  judge(t, await run(server(), hide), 1, /\/dev\/net\/tun is missing/u)
})

t.test('a server that nobody reaches', async t => {
  const start = { remote: '192.0.2.1:4567' }
  const child = await startClient(t, new Side(), start)
  const source = await UdpSource.open(t)
  for (const word of ['one', 'two', 'three']) source.send(word)
  await child.until(
    () => (['server-unanswered', 'server-unreachable'] as const).every(event => child.times(event) > 0),
    'warnings',
    20,
  )
  const warnings = child.logged().filter(({ level }) => level >= 40)
  t.match(child.logged('server-unanswered'), [{ msg: /^no handshake for 5 s: /u }], 'the likely cause')
  t.match(child.logged('server-unreachable'), [{ msg: '192.0.2.1:4567 did not answer within 6000 ms.' }], 'what is')
  t.equal(warnings.length, 2)
  t.ok(child.running, 'the client lives on')
  child.process.kill('SIGTERM')
  t.equal(await child.ended, 0)
})
