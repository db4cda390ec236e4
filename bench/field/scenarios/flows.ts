/** Servers that refuse connections, and servers that start anew. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ErrorCode } from '../../../src/errors.js'
import type { Child } from '../../../src/lab/child.js'
import { addresses } from '../../../src/lab/network.js'
import type { Scenario } from '../../checks/scenario.js'
import { ports } from '../../ends.js'
import { chatter, crowd, expectServed } from '../crowd.js'
import { Service } from '../services.js'
import { lost, Stage } from '../stage.js'

const toService = `${addresses.a.veth}:${ports.far}`
const lines = (child: Child): number => child.stderr.trim().split('\n').length

const refusedAtOnce: Scenario = {
  name: 'refused-at-once',
  what: 'the far end refuses every connection at once, while applications send 2,000 datagrams a second; then a server listens there',
  bar: 'attempts with growing pauses (at most 8 per source), a line for each source and few others, less than 0.4 of a core; served within 10 s of the start',
  phantun: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const { short, kind, network } = stage
      // While the server is not there yet, the kernel of B refuses in its place.
      const refuser = ['ip', 'address', 'add', `${addresses.b.tunPeer}/32`, 'dev', 'lo']
      network.b.command(refuser)
      const client = await stage.start('client')
      const applications = await crowd(stage, 4)
      const before = { lines: lines(client), cpu: client.cpuSeconds(), at: performance.now() }
      const end = chatter(stage, applications, 2_000 / applications.length)
      await sleep(short ? 1_000 : 8_000)
      const passed = (performance.now() - before.at) / 1_000
      const cores = (client.cpuSeconds() - before.cpu) / passed
      const said = lines(client) - before.lines
      // One line for each source, and one for what each worker finds out.
      seen.add(`${said} lines in ${passed.toFixed()} s`, said <= applications.length + 6)
      seen.add(`${cores.toFixed(2)} of a core`, cores < 0.4)
      network.b.command(['ip', 'address', 'delete', `${addresses.b.tunPeer}/32`, 'dev', 'lo'])
      if (!short || kind === 'phantun') {
        await Service.open(stage, addresses.a.veth)
        await stage.start('server', { remote: toService })
        await expectServed(seen, 'a server starts', applications)
      }
      end()
      if (kind === 'phantun') return
      await client.stop()
      const { connectFailed = 0, heldFull = 0 } = lost(client)
      const most = 8 * applications.length
      seen.add(`${connectFailed} attempts`, connectFailed >= applications.length && connectFailed <= most)
      seen.add(`${heldFull} datagrams over what is held`)
      if (!short) seen.add('says that the server answers', client.times('server-answers') >= 1)
    }),
}

const serverRestart: Scenario = {
  name: 'server-restart',
  what: 'the server is restarted under 300 connections that go on sending, once ended, once killed',
  bar: 'nobody hears that nothing listens there; all are served within 15 s',
  phantun: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const { short, kind } = stage
      await Service.open(stage, addresses.a.veth)
      const server = { remote: toService }
      const [first, client] = await Promise.all([stage.start('server', server), stage.start('client')])
      let far = first
      const applications = await crowd(stage, short ? 60 : 300)
      if (!(await expectServed(seen, 'served', applications))) return
      chatter(stage, applications, 10)
      for (const how of short ? ['ended'] : ['ended', 'killed', 'ended again']) {
        if (how === 'killed') {
          far.process.kill('SIGKILL')
          await far.ended
        } else await far.stop()
        far = await stage.start('server', server)
        await expectServed(seen, how, applications, 15_000)
      }
      if (kind === 'phantun') return
      const refused = client
        .logged('server-unreachable')
        .filter(({ code }) => code === ErrorCode.CONNECT_REFUSED).length
      seen.add(`${refused} lines about refusals`, refused === 0)
    }),
}

/** The networks of other servers: the kernel's end is .1, the server's .2. */
const networks = ['192.168.203', '192.168.204'] as const

const serverMoves: Scenario = {
  name: 'server-moves',
  what: "the tunnel server's name moves: first the old server ends, then it is out of reach without a word",
  bar: 'the client finds it: within 12 s, and within 25 s with `--keepalive 2`',
  phantun: true,
  // The second move takes as long as a silent peer is given.
  long: true,
  run: context =>
    Stage.with(context, async (stage, seen) => {
      const { network, kind } = stage
      const { before, move } = stage.hosts('tunnel.test')
      for (const each of networks) network.a.command(['ip', 'route', 'add', `${each}.0/24`, 'via', addresses.b.veth])
      const start = async (tun: string, net: string): Promise<void> => {
        const flags = ['--tun-local', `${net}.1`, '--tun-peer', `${net}.2`, '-4']
        await stage.start('server', { remote: toService, tun, flags })
        move(`${net}.2`)
      }
      const limitMs = (whole: number) => (kind === 'ours' ? whole : 10_000)
      move(addresses.b.tunPeer)
      await Service.open(stage, addresses.a.veth)
      const flags = kind === 'ours' ? ['--keepalive', '2'] : []
      const [first] = await Promise.all([
        stage.start('server', { remote: toService }),
        stage.start('client', { remote: `tunnel.test:${ports.server}`, before, flags }),
      ])
      const applications = await crowd(stage, 5)
      if (!(await expectServed(seen, 'served', applications))) return
      await first.stop()
      await start('tunc', networks[0])
      await expectServed(seen, 'the old server has ended', applications, limitMs(12_000))

      // From here on nothing gets there, and nobody says so.
      const route = `${networks[0]}.0/24`
      stage.finally(() => network.a.command(['ip', 'route', 'delete', 'blackhole', route]))
      network.a.command(['ip', 'route', 'replace', 'blackhole', route])
      await start('tund', networks[1])
      await expectServed(seen, 'is out of reach', applications, limitMs(25_000))
    }),
}

export const flows: readonly Scenario[] = [refusedAtOnce, serverRestart, serverMoves]
