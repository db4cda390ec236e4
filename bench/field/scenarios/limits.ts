/** Many connections, and a machine that has few resources for them. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../../src/lab/child.js'
import { addresses } from '../../../src/lab/network.js'
import type { Scenario } from '../../checks/scenario.js'
import { ports } from '../../ends.js'
import { askFromNew, chatter, crowd, expectServed } from '../crowd.js'
import { Service } from '../services.js'
import { lost, Stage } from '../stage.js'

const toService = `${addresses.a.veth}:${ports.far}`

/** A program that holds this many UDP sockets at once without binding them, as a resolver does. */
const unbound = 8
const otherProgram = [
  'bash',
  '-c',
  `for ((i = 0; i < ${unbound}; i++)); do exec {fd}<>/dev/udp/127.0.0.1/9 || exit 1; done`,
]

const fewPorts: Scenario = {
  name: 'few-ports',
  what: "the server's machine has ten ephemeral ports (`ip_local_port_range`), and there are 300 connections, to a service on 127.0.0.1, then to one elsewhere",
  bar: 'all are served, and other programs can still send UDP from sockets of their own',
  phantun: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const { short, network } = stage
      stage.setting(network.b, 'net.ipv4.ip_local_port_range', '40000 40009', '32768 60999')
      const local = `127.0.0.1:${ports.far}`
      await Service.open(stage, addresses.a.veth)
      let [server] = await Promise.all([stage.start('server', { remote: local }), stage.start('client'), stage.echo()])
      for (const remote of short ? [local] : [local, toService]) {
        if (remote !== local) {
          await server.stop()
          server = await stage.start('server', { remote })
        }
        await expectServed(seen, remote, await crowd(stage, short ? 60 : 300))
        if (!server.running) seen.add(`the server ended: ${await server.ended}`, false)
        const other = stage.run(network.b, otherProgram)
        const sends = (await other.ended) === 0
        seen.add(`another program ${sends ? 'sends' : 'has no port'}`, sends)
      }
    }),
}

/** How many sources there are at once, and how many new ones come in each second after that. */
const dns = { first: 900, later: 4_000, perSecond: 150 } as const

/** A flow makes room for another one only after five seconds of silence. */
const busyMs = 6_000

const manySources: Scenario = {
  name: 'many-sources',
  what: 'questions as to a name server, each from a new source: 900 at once, then 150 a second, while the server may have 1,100 descriptors',
  bar: 'every question is answered, the idlest connections make room; the server takes at most 40 MiB more',
  phantun: true,
  // No flow makes room before five seconds of silence.
  long: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const flags = stage.kind === 'ours' ? ['--max-flows', '1000'] : []
      await Service.open(stage, addresses.a.veth)
      const [server, client] = await Promise.all([
        stage.start('server', { remote: toService, before: ['prlimit', '--nofile=1100'] }),
        stage.start('client', { flags }),
      ])
      const round = async (what: string, sources: number, perSecond: number): Promise<void> => {
        const { answered, first } = await askFromNew(sources, perSecond)
        seen.add(
          `${what}: ${answered} of ${sources} answered, ${first} of them by the first question`,
          answered === sources,
        )
      }
      await round('at once', dns.first, 1_000)
      if (!server.running) return seen.add(`the server ended: ${await server.ended}`, false)
      const before = server.residentMiB()
      await sleep(busyMs)
      await round('later', dns.later, dns.perSecond)
      if (!server.running) return seen.add(`the server ended: ${await server.ended}`, false)
      const more = server.residentMiB() - before
      seen.add(`${before.toFixed()} MiB and ${more.toFixed()} more`, more <= 40)
      if (stage.kind === 'phantun') return
      await Promise.all([client.stop(), server.stop()])
      const evicted = (child: Child): number => lost(child).flowEvicted ?? 0
      seen.add(`evicted: ${evicted(client)} by the client, ${evicted(server)} by the server`)
      if (evicted(client) + evicted(server) === 0) seen.add('nobody made room', false)
    }),
}

const serverFull: Scenario = {
  name: 'server-full',
  what: 'a server with `--max-flows 2` and two applications that talk all the time; four others send 2,000 datagrams a second for six seconds, then the two fall silent',
  bar: 'the two are served meanwhile; the others make few attempts and lines, and are served once there is room, two at a time',
  phantun: false,
  // No flow makes room before five seconds of silence.
  long: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      await Service.open(stage, addresses.a.veth)
      const [server, client] = await Promise.all([
        stage.start('server', { remote: toService, flags: ['--max-flows', '2'] }),
        stage.start('client'),
      ])
      const talkers = await crowd(stage, 2)
      if (!(await expectServed(seen, 'two are served', talkers))) return
      const talk = chatter(stage, talkers, 20)
      const others = await crowd(stage, 4)
      const send = chatter(stage, others, 500)
      await sleep(6_000)
      send()
      await expectServed(seen, 'the two meanwhile', talkers, 1_000)
      const came = others.filter(({ received }) => received.length > 0).length
      seen.add(`${came} others`, came === 0)
      talk()
      await expectServed(seen, 'two of the others, once the first are silent', others.slice(0, 2), 15_000)
      // Another worker makes room at its next sweep, once a second.
      await sleep(2_500)
      await Promise.all([client.stop(), server.stop()])
      const { flowRefused = 0, flowEvicted = 0 } = lost(server)
      seen.add(
        `${flowRefused} refused, ${flowEvicted} made room`,
        flowRefused <= 10 * others.length && flowEvicted >= 1,
      )
      const lines = server.logged('flows-full').length
      seen.add(`${lines} lines`, lines >= 1 && lines <= 8)
    }),
}

export const limits: readonly Scenario[] = [serverFull, fewPorts, manySources]
