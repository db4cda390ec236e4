import { setTimeout as sleep } from 'node:timers/promises'
import { addresses } from '../../src/lab/network.js'
import type { Context, Scenario, Verdict } from '../checks/scenario.js'
import { ports } from '../ends.js'
import { absence, programs } from '../programs.js'
import type { Sent } from '../scenario.js'
import { percentLost, percentMissing, Rig } from './rig.js'

interface Flooded {
  sent: number
}

const server = `${addresses.b.tunPeer}:${ports.server}`

/** Percent. The short form runs beside other tests, which take any amount of processor time. */
const mostLost = (short: boolean): number => (short ? 10 : 1)

/** Sends packets from forged sources, as many as the machine can make, while a live flow runs and another one opens. */
const flooded = async (packets: 'syn' | 'stray', { network, kind, short }: Context): Promise<Verdict> => {
  // The answers go nowhere, without an ICMP message for each.
  network.b.command(['ip', 'route', 'replace', 'blackhole', '198.18.0.0/15'])
  const duration = short ? 4 : 30
  return Rig.with(network, kind, async rig => {
    const live = rig.load({ rate: 2_000, seconds: duration + 1 })
    await sleep(1_000)
    const before = rig.server.residentMiB()
    // The short form must not depend on how much processor time the flood leaves.
    const rate = short ? ['--rate', '100000'] : []
    const how = ['--kind', packets, '--seconds', String(duration), ...rate]
    const flood = rig.run(network.a, [...programs.tcpFlood, '--to', server, ...how])
    await sleep(500)
    const opening = rig.load({ rate: 50, seconds: duration - 1, first: 1 })
    const start = performance.now()
    while ((await rig.arrived()).flows < 2 && opening.running) await sleep(50)
    const opened = (performance.now() - start) / 1000
    const { sent } = await flood.json<Flooded>()
    const grown = rig.server.residentMiB() - before
    const loads = await Promise.all([live.json<Sent>(), opening.json<Sent>()])
    await sleep(300)
    const arrived = await rig.arrived()
    // The share of both flows: a connection that opened has to live on.
    const lost = percentMissing(loads[0].datagrams + loads[1].datagrams, arrived)
    const figure =
      `${Math.round(sent / duration / 1000)} k packets/s: ${lost.toFixed(2)} % of the live flows lost, ` +
      `${arrived.flows > 1 ? `a new connection after ${opened.toFixed(1)} s` : 'no new connection'}, memory +${Math.max(0, grown).toFixed(0)} MiB` +
      (rig.server.logged('flood-begun').some(({ filtered }) => filtered) ? '; filtered in the kernel' : '')
    return { figure, passed: lost < mostLost(short) && arrived.flows > 1 && grown <= 32 }
  })
}

/** Sends RST, data, SYN, FIN and ICMP with the addresses of a live connection and random numbers, from both sides. */
const blind = async ({ network, kind, short }: Context): Promise<Verdict> => {
  const count = short ? 50_000 : 500_000
  return Rig.with(network, kind, async rig => {
    const duration = short ? 4 : 14
    const live = rig.load({ rate: 1_000, seconds: duration })
    await sleep(800)
    const client = `${addresses.a.tunPeer}:${rig.clientPort()}`
    const attack = (side: 'a' | 'b', from: string, to: string) =>
      rig.run(network[side], [
        ...programs.tcpFlood,
        ...['--kind', 'blind', '--from', from, '--to', to],
        ...['--count', String(count / 2), '--rate', String(count / 2 / (duration - 2))],
      ])
    const attacks = [attack('a', client, server), attack('b', server, client)]
    const sent = (await Promise.all(attacks.map(each => each.json<Flooded>()))).reduce(
      (sum, each) => sum + each.sent,
      0,
    )
    await live.ended
    await sleep(300)
    const arrived = await rig.arrived()
    const closed = rig.said('server', 'connection-closed', /onnection .*closed|unrecoverable|Unregister/iu) > 0
    const again = rig.said('client', 'source-new', /New UDP client/u) > 1
    const lost = percentLost(arrived)
    const counters = kind === 'ours' ? await rig.counters('server') : {}
    const { challengesOut: challenges = 0, pathMtuLowered: lowered = 0 } = counters
    const figure =
      `${Math.round(sent / 1000)} k packets: connection ${closed || again ? 'killed' : 'alive'}, ${lost.toFixed(2)} % lost, ` +
      `${arrived.corrupted} forged datagrams delivered` +
      (kind === 'ours'
        ? `, ${challenges} challenges in ${duration} s, path MTU ${lowered === 0 ? 'as it was' : 'lowered'}`
        : '')
    const held = !closed && !again && lost < mostLost(short) && lowered === 0
    return { figure, passed: held && challenges <= 2 * duration + 2 }
  })
}

/** The interface of the stock crate in A, beside that of our client. B knows the way to both. */
const stock = { tun: 'tunc', local: '192.168.200.11', peer: '192.168.200.12' } as const
/** Per second and connection. */
const forgedRate = 2_000
/** Two namespaces away, on a machine that is busy with all this. */
const roundTripMs = 20

/** Closes connections of the stock crate one after the other, while somebody forges packets for each. */
const genuineCloses = async ({ network, short }: Context): Promise<Verdict> => {
  const flows = short ? 4 : 12
  const seconds = flows * (short ? 0.8 : 2)
  return Rig.with(network, 'ours', async rig => {
    const peer = rig.run(network.a, [
      ...programs.crate,
      'close',
      ...['--tun-local', stock.local, '--tun-peer', stock.peer, '--tun', stock.tun],
      ...['--remote', server, '--flows', String(flows), '--seconds', String(seconds)],
    ])
    await peer.until(() => peer.stderr.includes('started'), 'connections')
    await sleep(200)
    const accepted = rig.server.logged('connection-accepted')
    // Packets are forged for every other connection until after its close, and for the rest until just before it, so
    // that those have no more packets to answer.
    const attacks = accepted.map(({ remote }, i) => {
      const until = (seconds * (i + 1)) / flows - 0.2 + (i % 2 === 0 ? 1.5 : -0.1)
      const how = ['--rate', String(forgedRate), '--count', String(Math.ceil(until * forgedRate))]
      const ends = ['--from', String(remote), '--to', server]
      return rig.run(network.a, [...programs.tcpFlood, '--kind', 'blind', ...ends, ...how])
    })
    const { closedAt } = await peer.json<{ closedAt: number[] }>()
    await Promise.all(attacks.map(({ ended }) => ended))
    const closed = new Map(rig.server.logged('connection-closed').map(({ remote, time }) => [remote, time]))
    const took = accepted.map(({ remote }, i) => Date.parse(closed.get(remote) ?? '') - closedAt[i])
    const early = took.filter(ms => ms < 0).length
    const never = took.filter(Number.isNaN).length
    const worst = Math.max(...took.filter(ms => ms >= 0))
    return {
      figure:
        `${accepted.length} connections, ${forgedRate} forged packets a second each: ${early} closed by them, ${never} never closed; ` +
        `after the peer's close noticed within ${worst} ms`,
      passed: accepted.length === flows && early === 0 && never === 0 && worst <= (short ? 1_500 : 500 + roundTripMs),
    }
  })
}

export const floods: readonly Scenario[] = [
  {
    name: 'syn-flood',
    what: 'SYNs from forged sources, as many as the machine can make, for 30 s',
    bar: 'live flows lose < 1 %, a new connection opens, memory grows ≤ 32 MiB',
    phantun: true,
    run: context => flooded('syn', context),
  },
  {
    name: 'stray-flood',
    what: 'ACK, data, RST, FIN and SYN+ACK of no connection from forged sources, as many as the machine can make, for 30 s',
    bar: 'live flows lose < 1 %, a new connection opens, memory grows ≤ 32 MiB',
    phantun: true,
    run: context => flooded('stray', context),
  },
  {
    name: 'blind',
    what: '500,000 packets with a live connection’s addresses and random numbers: RST, data, SYN, SYN+ACK, FIN, ICMP',
    bar: 'the connection lives, < 1 % lost, ≤ 2 challenges a second, no smaller path MTU',
    phantun: true,
    run: blind,
  },
  {
    name: 'genuine-close',
    what: 'a stock peer (the crate) closes its connections while somebody forges packets for each',
    bar: 'none closes before, each is closed within a round trip + 500 ms after',
    phantun: false,
    absent: () => absence('crate'),
    run: genuineCloses,
  },
]
