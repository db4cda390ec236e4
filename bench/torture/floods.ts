import { setTimeout as sleep } from 'node:timers/promises'
import { addresses } from '../../src/lab/network.js'
import { ports } from '../ends.js'
import { programs } from '../programs.js'
import { percentLost, Rig } from './rig.js'
import type { Context, Scenario, Verdict } from './scenario.js'

interface Flooded {
  sent: number
}

const server = `${addresses.b.tunPeer}:${ports.server}`

/** Percent. The short form runs beside other tests, which take what processor time they like. */
const mostLost = (short: boolean): number => (short ? 10 : 1)

/** SYNs from forged sources, as many as the machine can make, while a live flow runs and another one opens. */
const synFlood = async ({ network, kind, short }: Context): Promise<Verdict> => {
  // The answers must go nowhere, without an ICMP message each.
  network.b.command(['ip', 'route', 'replace', 'blackhole', '198.18.0.0/15'])
  const duration = short ? 4 : 30
  return Rig.with(network, kind, async rig => {
    const live = rig.load({ rate: 2_000, seconds: duration + 1 })
    await sleep(1_000)
    const before = rig.residentMiB('server')
    // The short form must not depend on how much processor time is left for the attacked.
    const rate = short ? ['--rate', '100000'] : []
    const how = ['--kind', 'syn', '--seconds', String(duration), ...rate]
    const flood = rig.run(network.a, [...programs.tcpFlood, '--to', server, ...how])
    await sleep(500)
    const opening = rig.load({ rate: 20, seconds: duration - 1, first: 1 })
    const start = performance.now()
    while ((await rig.arrived()).flows < 2 && opening.running) await sleep(50)
    const opened = (performance.now() - start) / 1000
    const { sent } = await flood.json<Flooded>()
    const grown = rig.residentMiB('server') - before
    await Promise.all([live.ended, opening.ended])
    await sleep(300)
    const arrived = await rig.arrived()
    const lost = percentLost(arrived)
    const figure =
      `${Math.round(sent / duration / 1000)} k SYNs/s: ${lost.toFixed(2)} % of the live flow lost, ` +
      `${arrived.flows > 1 ? `a new connection after ${opened.toFixed(1)} s` : 'no new connection'}, memory +${Math.max(0, grown).toFixed(0)} MiB` +
      (rig.said('server', 'SYN flood') > 0 ? '; filtered in the kernel' : '')
    return { figure, passed: lost < mostLost(short) && arrived.flows > 1 && grown <= 32 }
  })
}

/** RST, data, SYN and FIN with a live connection's addresses and random numbers, from both sides. */
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
    const closed = rig.said('server', /onnection .*closed|connection closed|unrecoverable|Unregister/iu) > 0
    const again = rig.said('client', kind === 'ours' ? '"new UDP client"' : 'New UDP client') > 1
    const lost = percentLost(arrived)
    const counters = kind === 'ours' ? await rig.counters('server') : {}
    const challenges = counters.challengesOut ?? 0
    const figure =
      `${Math.round(sent / 1000)} k packets: connection ${closed || again ? 'killed' : 'alive'}, ${lost.toFixed(2)} % lost, ` +
      `${arrived.corrupted} forged datagrams delivered${kind === 'ours' ? `, ${challenges} challenges in ${duration} s` : ''}`
    return { figure, passed: !closed && !again && lost < mostLost(short) && challenges <= 2 * duration + 2 }
  })
}

export const floods: readonly Scenario[] = [
  {
    name: 'syn-flood',
    what: 'SYNs from forged sources, as many as the machine can make, for 30 s',
    bar: 'live flow loses < 1 %, a new connection opens, memory grows ≤ 32 MiB',
    phantun: true,
    run: synFlood,
  },
  {
    name: 'blind',
    what: '500,000 packets with a live connection’s addresses and random numbers: RST, data, SYN, SYN+ACK, FIN',
    bar: 'the connection lives, < 1 % lost, ≤ 2 challenges a second',
    phantun: true,
    run: blind,
  },
]
