/** The TUN interface among others: addresses that are taken, or taken away. */
import { setTimeout as sleep } from 'node:timers/promises'
import { addresses, type Side } from '../../../src/lab/network.js'
import { missingTool } from '../../../src/lab/tools.js'
import type { Scenario } from '../../checks/scenario.js'
import { ports, tuns } from '../../ends.js'
import { complaints, Stage, seconds } from '../stage.js'

/** The answer of `ip route get`: 'local 192.168.200.1 dev lo …'. */
const routeTo = async (stage: Stage, side: Side, address: string): Promise<string> => {
  const child = stage.run(side, ['ip', 'route', 'get', address])
  await child.ended
  return child.stdout.trim()
}

interface Taking {
  readonly name: string
  readonly commands: readonly string[]
  readonly family: 4 | 6
  /** The kernel itself puts back what was taken away, so the program has nothing to say. */
  readonly silent?: boolean
}

/** Ways to take away what belongs to the interface. */
const takings: readonly Taking[] = [
  { name: 'addresses flushed', commands: [`address flush dev ${tuns.b}`], family: 4 },
  { name: 'addresses flushed', commands: [`-6 address flush dev ${tuns.b}`], family: 6 },
  { name: 'link down and up', commands: [`link set ${tuns.b} down`, `link set ${tuns.b} up`], family: 4, silent: true },
  { name: 'link down and up', commands: [`link set ${tuns.b} down`, `link set ${tuns.b} up`], family: 6 },
  { name: 'link down', commands: [`link set ${tuns.b} down`], family: 4 },
  { name: 'routes flushed', commands: [`route flush dev ${tuns.b}`], family: 4 },
]

const remotes = { 4: `${addresses.b.tunPeer}:${ports.server}`, 6: `[${addresses.b.tunPeer6}]:${ports.server}` } as const

const takenAway: Scenario = {
  name: 'addresses-taken-away',
  what: "the server's TUN loses addresses, routes or its link to somebody who tidies up (networkd, NetworkManager, a flap)",
  bar: 'put back within 2 s, said, no connection lost',
  phantun: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      for (const family of [4, 6] as const) {
        const { server } = await stage.tunnel({ client: { remote: remotes[family] } })
        const application = await stage.application()
        await application.knock()
        for (const { name, commands, silent } of takings.filter(taking => taking.family === family)) {
          const before = server.times('interface-repaired')
          for (const words of commands) stage.network.b.command(['ip', ...words.split(' ')])
          const healed = await application.knock(5_000)
          const said = context.kind === 'phantun' || silent || server.times('interface-repaired') > before
          seen.add(
            `IPv${family}, ${name}: echo after ${seconds(healed)}${said ? '' : ', not said'}`,
            healed !== undefined && healed < 2_000 && said,
          )
        }
        if (context.kind === 'ours') {
          const accepted = server.times('connection-accepted')
          seen.add(`${accepted} connection`, accepted === 1)
        }
        await stage.stopPrograms()
      }
    }),
}

const stranger: Scenario = {
  name: 'name-taken-by-a-stranger',
  what: "the server's TUN is deleted, and somebody makes another interface of that name",
  bar: 'ends with an error that says so, and leaves the other one as it is',
  phantun: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const { server } = await stage.tunnel()
      const { b } = stage.network
      b.command(['sh', '-c', `ip link delete ${tuns.b} && ip link add ${tuns.b} type veth peer name other`])
      const ended = await Promise.race([server.ended, sleep(5_000, 'runs on', { ref: false })])
      const text = complaints(server, 'device-lost').at(-1) ?? ''
      seen.add(ended === 'runs on' ? ended : `exit ${ended}: "${text}"`, ended === 1 && text.includes(tuns.b))
      const left = stage.run(b, ['ip', '-brief', 'address', 'show', 'dev', tuns.b])
      await left.ended
      seen.add('the other one has no addresses of ours', !left.stdout.includes('192.168'))
    }),
}

/** A veth pair in A with this address at its near end, as a LAN that uses our default addresses. */
const addLan = (stage: Stage, near: string): void => {
  const { a } = stage.network
  a.command(['ip', 'link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'lan1'])
  stage.finally(() => a.command(['ip', 'link', 'delete', 'lan0']))
  a.command(['ip', 'address', 'add', near, 'dev', 'lan0'])
  for (const name of ['lan0', 'lan1']) a.command(['ip', 'link', 'set', name, 'up'])
}

const throughNat = { remote: `${addresses.b.veth}:${ports.server}` } as const

const defaults: readonly Scenario[] = [
  {
    name: 'lan-with-our-addresses',
    what: "the client's LAN is 192.168.200.0/24, with its gateway at 192.168.200.1: our default addresses",
    bar: 'other addresses are used and said, and the gateway stays reachable; an asked-for pair is an error that names who has it',
    phantun: true,
    network: { nat: ports.server },
    absent: () => missingTool('nft', 'nftables'),
    run: context =>
      Stage.with(context, async (stage, seen) => {
        addLan(stage, '192.168.200.57/24')
        const { client } = await stage.tunnel({ client: throughNat })
        const echo = await (await stage.application()).knock(5_000)
        seen.add(`echo after ${seconds(echo)}`, echo !== undefined)
        const gateway = await routeTo(stage, stage.network.a, '192.168.200.1')
        seen.add(`gateway: ${gateway.split(' ').slice(0, 3).join(' ')}`, gateway.includes('dev lan0'))
        if (context.kind === 'phantun') return
        const said = complaints(client, 'addresses-replaced')[0] ?? ''
        seen.add(`says "${said}"`, said !== '')
        const flags = ['--tun-local', '192.168.200.1', '--tun-peer', '192.168.200.2']
        const asked = stage.launch('client', { ...throughNat, tun: 'tunx', local: '127.0.0.1:4501', flags })
        const code = await asked.ended
        const reason = asked.stderr.trim().split('\n').at(-1) ?? ''
        seen.add(
          `asked for: exit ${code}, "${reason}"`,
          code === 1 && reason.includes('lan0') && reason.includes('--tun-'),
        )
      }),
  },
  {
    name: 'two-instances',
    what: 'two clients on one machine, both with default addresses',
    bar: 'both work',
    phantun: true,
    network: { nat: ports.server },
    absent: () => missingTool('nft', 'nftables'),
    run: context =>
      Stage.with(context, async (stage, seen) => {
        await stage.tunnel({ client: throughNat })
        await stage.start('client', { ...throughNat, tun: 'tunx', local: '127.0.0.1:4501' })
        const each = [await stage.application(), await stage.application('127.0.0.1', 4501)]
        for (const [i, echo] of (await Promise.all(each.map(one => one.knock(5_000)))).entries()) {
          seen.add(`client ${i + 1}: echo after ${seconds(echo)}`, echo !== undefined)
        }
      }),
  },
]

export const interfaces: readonly Scenario[] = [takenAway, stranger, ...defaults]
