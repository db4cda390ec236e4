import t, { type Test } from 'tap'
import { type Child, stopAll } from '../../src/lab/child.js'
import { connectionStates, invalidPackets } from '../../src/lab/conntrack.js'
import { createNetwork, type Network } from '../../src/lab/network.js'
import { type Family, ports, stackOfB, vethOfB } from '../support/programs.js'
import { exchange, numbers, randomDatagrams, recorded, startService, UdpSource } from '../support/udp-source.js'
import { type Pair, pairName, pairs, startPair } from './pairs.js'

const flows = 5
/** MTU 1500, less the IP header and 20 bytes of TCP. */
const largest = { 4: 1460, 6: 1440 } as const

/** Every size once, spread over the sources; neighbours differ much, so that no two make a super-packet by chance alone. */
const sizesOf = (flow: number, family: Family): number[] => {
  const sizes = Array.from({ length: largest[family] }, (_, i) => i + 1).filter(size => size % flows === flow)
  return sizes.map((_, i) => (i % 4 < 2 ? sizes[i] : sizes[sizes.length - i]))
}

/**
 * A stock receiver's tasks hand the datagrams of one connection on in any order: where order is judged from end to
 * end, such a flow has one datagram under way.
 */
const windowOf = ({ client, server }: Pair): number => (client === 'ours' && server === 'ours' ? burst : 1)
const burst = 16

const ascending = (found: readonly number[]): boolean => found.every((n, i) => i === 0 || n > found[i - 1])

/** Many datagrams of a flow under way: nothing is lost or altered, and whoever of the two is ours keeps the order. */
const judgeBursts = async (t: Test, pair: Pair, sources: readonly UdpSource[], service: Child): Promise<void> => {
  const sent = sources.map(() => randomDatagrams(Array.from({ length: 200 }, (_, i) => 16 + ((i * 397) % 1_420))))
  const before = sources.map(source => source.received.length)
  t.equal(await exchange(sources, sent, burst, true), undefined, 'bursts')
  const atService = recorded(service).map(({ data }) => data)
  for (const [flow, source] of sources.entries()) {
    const there = numbers(atService, sent[flow]).filter(n => n >= 0)
    const back = numbers(source.received.slice(before[flow]), sent[flow])
    if (pair.server === 'ours') t.ok(ascending(there), `our server keeps the order of source ${flow}`)
    if (pair.client === 'ours') t.same(back, there, `our client keeps the order of source ${flow}`)
  }
}

export const matrix = (nat: boolean): void => {
  const remoteOf = nat ? vethOfB : stackOfB
  let network: Network
  t.before(async () => {
    network = await createNetwork(nat ? 'wire' : 'plain', nat ? { nat: ports.server } : {})
  })
  t.teardown(() => network?.close().finally(() => stopAll()))
  for (const pair of pairs) {
    for (const family of [4, 6] as const) {
      t.test(`${pairName(pair)}, IPv${family}`, async t => {
        const service = await startService(t, network.b, family, '--record')
        const { server, client } = await startPair(t, network, pair, family, remoteOf[family])
        const sources = await Promise.all(Array.from({ length: flows }, () => UdpSource.open(t, family)))
        // One connection after the other is opened: a stock client does not keep the order of what comes meanwhile.
        for (const source of sources) {
          t.equal(await exchange([source], [randomDatagrams([100])], 1), undefined, 'first datagram')
        }
        const datagrams = sources.map((_, flow) => randomDatagrams(sizesOf(flow, family)))
        t.equal(await exchange(sources, datagrams, windowOf(pair)), undefined, 'every size, all sources at once')
        await judgeBursts(t, pair, sources, service)
        if (!nat) return
        const states = async () => [
          ...(await connectionStates(network.a, ports.server)),
          ...(await connectionStates(network.b, ports.server)),
        ]
        t.equal((await states()).filter(state => state === 'ESTABLISHED').length, 2 * flows, 'conntrack follows')
        // Ours says goodbye; a stock program just dies.
        await (pair.client === 'ours' ? client : server).stop()
        const left = (await states()).filter(state => state !== 'CLOSE')
        t.same(left, [], 'conntrack lets go of closed connections')
        t.equal(await invalidPackets(network.a), 0, "INVALID on the client's side")
        t.equal(await invalidPackets(network.b), 0, "INVALID on the server's side")
      })
    }
  }
}
