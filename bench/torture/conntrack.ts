/** What netfilter between the ends makes of the connection: translated on both sides, strict, with short timers. */

import { setTimeout as sleep } from 'node:timers/promises'
import { connectionStates, invalidPackets } from '../../src/lab/conntrack.js'
import { addresses, type Side } from '../../src/lab/network.js'
import { missingTool } from '../../src/lab/tools.js'
import type { Context, Scenario, Verdict } from '../checks/scenario.js'
import { ports } from '../ends.js'
import type { Sent } from '../scenario.js'
import { percentMissing, Rig } from './rig.js'

/** Instead of 300 s. */
const unacknowledgedSeconds = 5

const entries = async (side: Side): Promise<number> =>
  (await connectionStates(side, ports.server)).filter(state => state === 'ESTABLISHED').length

const translated = ({ network, kind, short }: Context): Promise<Verdict> => {
  const { a, b } = network
  for (const side of [a, b]) {
    side.command(['sysctl', '-qw', `net.netfilter.nf_conntrack_tcp_timeout_unacknowledged=${unacknowledgedSeconds}`])
  }
  const use = async (rig: Rig): Promise<Verdict> => {
    const alive: number[] = []
    let sent = 0
    for (let round = 0; round < 2; round++) {
      sent += (await rig.load({ rate: 2_000, seconds: short ? 2 : 10 }).json<Sent>()).datagrams
      await sleep((unacknowledgedSeconds + 3) * 1_000)
      alive.push(await entries(a), await entries(b))
    }
    const lost = percentMissing(sent, await rig.arrived())
    await rig.client.stop()
    await sleep(500)
    const left = (await entries(a)) + (await entries(b))
    const bad = (await invalidPackets(a)) + (await invalidPackets(b))
    const kept = alive.every(count => count > 0)
    return {
      figure: `${bad} INVALID, entry ${kept ? 'kept' : 'lost'} in silence, ${left === 0 ? 'gone' : 'left'} after the close, ${lost.toFixed(2)} % of ${sent} lost`,
      passed: bad === 0 && kept && left === 0 && lost < 0.1,
    }
  }
  return Rig.with(network, kind, use, [], addresses.b.veth)
}

export const conntrack: readonly Scenario[] = [
  {
    name: 'conntrack',
    what: `one-way traffic and silences longer than the unacknowledged timer (${unacknowledgedSeconds} s instead of 300), NAT on both sides, strict`,
    bar: '0 INVALID, the entry lives through silence and is gone after the close',
    phantun: true,
    network: { nat: ports.server },
    absent: () => missingTool('nft', 'nftables'),
    run: translated,
  },
]
