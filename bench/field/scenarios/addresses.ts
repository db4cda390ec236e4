/** Kinds of addresses: link-local ones with their zones, wildcards, broadcasts and multicasts. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../../src/lab/child.js'
import { addresses } from '../../../src/lab/network.js'
import type { Scenario } from '../../checks/scenario.js'
import { ports } from '../../ends.js'
import { Service } from '../services.js'
import { type Seen, Stage, seconds } from '../stage.js'
import { until } from '../wait.js'

const linkLocal: Scenario = {
  name: 'link-local',
  what: 'link-local addresses with zones: the client listens at `[fe80::1%br-lan]`, the service is behind `eth0.7`',
  bar: 'served, and the answer comes from the address that was asked; a link-local `--remote` of the client is refused with the reason',
  phantun: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const { a, b } = stage.network
      const wires = [
        { side: a, device: 'br-lan', own: 'fe80::1/64', peer: 'lan-end', theirs: 'fe80::2/64' },
        { side: b, device: 'eth0.7', own: 'fe80::3/64', peer: 'wan-end', theirs: 'fe80::50/64' },
      ]
      for (const { side, device, own, peer, theirs } of wires) {
        const pair = ['type', 'veth', 'peer', 'name', peer, 'netns', String(process.pid)]
        side.command(['ip', 'link', 'add', device, ...pair])
        stage.finally(() => a.command(['ip', 'link', 'delete', peer]))
        for (const [end, name, text] of [
          [side, device, own],
          [a, peer, theirs],
        ] as const) {
          end.command(['ip', 'address', 'add', text, 'dev', name, 'nodad'])
          end.command(['ip', 'link', 'set', name, 'up'])
        }
      }
      await Service.open(stage, 'fe80::50%wan-end')
      await Promise.all([
        stage.start('server', { remote: `[fe80::50%eth0.7]:${ports.far}` }),
        stage.start('client', { local: `[fe80::1%br-lan]:${ports.client}` }),
      ])
      const application = await stage.application('fe80::1%br-lan')
      const ms = await application.knock()
      seen.add(`served after ${seconds(ms)}`, ms !== undefined)
      const { answeredBy } = application
      seen.add(`answered by ${answeredBy}`, answeredBy === `fe80::1%br-lan ${ports.client}`)
      if (stage.short || stage.kind === 'phantun') return
      const refused = stage.launch('client', { remote: `[fe80::1%br-lan]:${ports.server}`, tun: 'tunx' })
      const code = await refused.ended
      const reason = refused.stderr.includes('--remote is a link-local address')
      seen.add(`a link-local server: code ${code}${reason ? ' with the reason' : ''}`, code === 2 && reason)
    }),
}

/** Sends one datagram to everybody. Says how often the service hears it, and who answers. */
const toAll = async (stage: Stage, seen: Seen, service: Service, what: string, to: string): Promise<void> => {
  const socket = createSocket(to.includes(':') ? 'udp6' : 'udp4')
  stage.finally(() => socket.close())
  const answers: string[] = []
  socket.on('message', (_, { address }) => answers.push(address))
  socket.on('error', () => {})
  socket.bind(0)
  await once(socket, 'listening')
  if (!to.includes(':')) socket.setBroadcast(true)
  const text = `${what} ${Math.random()}`
  socket.send(text, ports.client, to)
  await until(() => answers.length > 0)
  // Waits for copies, which would follow at once.
  await sleep(stage.short ? 200 : 1_000)
  const heard = service.received.filter(each => each === text).length
  const own = answers.every(address => address === addresses.a.veth || address.startsWith('fe80::'))
  seen.add(`${what}: carried ${heard} times, answered ${answers.length} times`, heard === 1 && answers.length === 1)
  if (!own) seen.add(`by ${answers.join(', ')}`, false)
}

const wildcards: Scenario = {
  name: 'wildcards',
  what: 'the client listens at `[::]`, then at `0.0.0.0`: IPv4 and IPv6 sources, a broadcast, a multicast; both ends with three queues',
  bar: 'all are served, IPv4 addresses look like IPv4 in the log, what is for everybody is carried and answered once',
  phantun: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const { kind, short, network } = stage
      const flags = kind === 'ours' ? ['--queues', '3'] : []
      const service = await Service.open(stage, addresses.a.veth)
      const at = (host: string): Promise<Child> => stage.start('client', { local: `${host}:${ports.client}`, flags })
      const [, client] = await Promise.all([
        stage.start('server', { remote: `${addresses.a.veth}:${ports.far}`, flags }),
        at('[::]'),
      ])
      for (const [host, shown] of [
        ['127.0.0.1', '"source":"127.0.0.1:'],
        ['::1', '"source":"[::1]:'],
      ]) {
        const ms = await (await stage.application(host)).knock()
        seen.add(`[::], ${host}: served after ${seconds(ms)}`, ms !== undefined)
        if (kind === 'phantun') continue
        if (!(await until(() => client.stderr.includes(shown)))) seen.add(`${shown} is not in the log`, false)
      }
      if (client.stderr.includes('::ffff:')) seen.add('::ffff: is in the log', false)
      await toAll(stage, seen, service, 'broadcast', '10.71.0.255')
      await toAll(stage, seen, service, 'multicast', `ff02::1%${network.vethA}`)
      if (short) return
      await client.stop()
      await at('0.0.0.0')
      await toAll(stage, seen, service, '0.0.0.0, broadcast', '10.71.0.255')
    }),
}

export const kinds: readonly Scenario[] = [linkLocal, wildcards]
