import type { Network } from '../../src/lab/network.js'
import { addresses } from '../../src/lab/network.js'
import { names, type Pair, pairs, ports } from '../ends.js'
import { duplex } from '../measure/duplex.js'
import { directFlood, type Flood, flood } from '../measure/flood.js'
import { directLatency, latency, WARMUP } from '../measure/latency.js'
import { search, searchSeconds } from '../measure/search.js'
import { absence, type Program } from '../programs.js'
import type { Figure, Metrics, Peer, Scenario } from '../scenario.js'

const SIZE = 1400
/** Seconds for starting, opening and stopping. */
const OVERHEAD = 2

const both = [pairs.ours, pairs.phantun]
const mixed = [pairs.ours, pairs.phantun, pairs.oursToStock, pairs.stockToOurs]

type Run = (network: Network, seconds: number, pair: Pair) => Promise<Metrics>

interface Setup {
  pairs?: readonly Pair[]
  figure?: Figure
  shapes?: Scenario['shapes']
  quick?: Scenario['quick']
  size?: number
  flows?: number
  duration?: Scenario['duration']
  /** Programs besides the tunnel's own. */
  needs: readonly Program[]
}

const scenario = (name: string, title: string, run: Run, setup: Setup): Scenario => ({
  name: `tunnel/${name}`,
  title,
  figure: setup.figure ?? 'datagramsPerSecond',
  shapes: setup.shapes ?? ['plain'],
  quick: setup.quick ?? [],
  size: setup.size ?? SIZE,
  flows: setup.flows ?? 1,
  duration: setup.duration ?? (seconds => seconds + OVERHEAD),
  peers: (setup.pairs ?? both).map(
    (pair): Peer => ({
      name: pair.name,
      role: pair.role,
      absent: absence(pair.client.needs, pair.server.needs, ...setup.needs),
      run: (network, seconds) => run(network, seconds, pair),
    }),
  ),
})

/** One-way load. */
const floods = (name: string, title: string, load: Partial<Flood>, setup: Omit<Setup, 'needs'> = {}): Scenario => {
  const whole: Flood = { sender: 'udpPlain', size: setup.size ?? SIZE, flows: setup.flows ?? 1, ...load }
  return scenario(name, title, (network, seconds, pair) => flood(network, pair, seconds, whole), {
    duration: seconds => seconds + OVERHEAD + whole.flows / 2000,
    ...setup,
    needs: ['udpSink', whole.sender],
  })
}

/** Adds the load generator and the sink without a tunnel: the limit of what any tunnel between them can show. */
const withDirect = (base: Scenario, load: Flood): Scenario => {
  const direct: Peer = {
    name: names.direct,
    role: 'limit',
    absent: absence('udpSink', load.sender),
    run: (network, seconds) => directFlood(network, `${addresses.b.veth}:${ports.far}`, seconds, load),
  }
  return { ...base, peers: [...base.peers, direct] }
}

const gso: Partial<Flood> = { sender: 'udpSend', options: ['--gso'] }
const everywhere = ['plain', 'wire'] as const
const count = (value: number): string => value.toLocaleString('en-US')

const searching = ((): Scenario => {
  const base = scenario(
    'search',
    'Tunnel, highest rate with at most 0.1 % loss, one datagram per system call',
    (network, seconds, pair) => search(network, pair, seconds, SIZE),
    {
      pairs: mixed,
      shapes: everywhere,
      quick: ['plain'],
      duration: seconds => searchSeconds(seconds) + OVERHEAD,
      needs: ['udpSink', 'udpPlain'],
    },
  )
  return { ...base, peers: base.peers.map(peer => ({ ...peer, slow: peer.role === 'mixed' })) }
})()

const latencies = ((): Scenario => {
  const title = 'Tunnel, round trip at 1,000 datagrams per second'
  const through: Run = (network, seconds, pair) => latency(network, pair, seconds, SIZE)
  const base = scenario('latency', title, through, {
    figure: 'latencyP50',
    shapes: everywhere,
    quick: ['plain'],
    duration: seconds => seconds + OVERHEAD + WARMUP / 1000,
    needs: ['udpLatency'],
  })
  const at = `${addresses.b.veth}:${ports.far}`
  const direct: Peer = {
    name: names.direct,
    role: 'limit',
    absent: absence('udpLatency'),
    run: (network, seconds) => directLatency(network, at, seconds, SIZE),
  }
  return { ...base, peers: [...base.peers, direct] }
})()

/** UDP in, fake TCP over the wire, UDP out. Unless a scenario says otherwise: 1,400 bytes, one flow, from A to B. */
export const tunnelScenarios: readonly Scenario[] = [
  withDirect(
    floods(
      'plain',
      'Tunnel, one datagram per system call, as fast as the sender can',
      {},
      { pairs: mixed, shapes: everywhere, quick: everywhere },
    ),
    { sender: 'udpPlain', size: SIZE, flows: 1 },
  ),
  searching,
  floods('gso', 'Tunnel, sender uses UDP GSO, as fast as it can', gso, { shapes: everywhere, quick: ['plain'] }),
  floods(
    '50k',
    'Tunnel, 50,000 datagrams per second, one per system call',
    { options: ['--rate', '50000'] },
    { figure: 'cpuSecondsPerGB', quick: ['plain'], pairs: [pairs.ours, pairs.coalesced, pairs.phantun] },
  ),
  floods(
    '500k-gso',
    'Tunnel, 500,000 datagrams per second, sender uses UDP GSO',
    { sender: 'udpSend', options: ['--gso', '--rate', '500000'] },
    { figure: 'cpuSecondsPerGB', quick: ['plain'] },
  ),
  latencies,
  scenario(
    'duplex',
    'Tunnel, both directions at once, one datagram per system call, as fast as the senders can',
    (network, seconds, pair) => duplex(network, pair, seconds, SIZE),
    { needs: ['udpDuplex'] },
  ),
  ...[512, 256, 64].map(size =>
    floods(
      `${size}`,
      `Tunnel, datagrams of ${size} bytes, one per system call, as fast as the sender can`,
      {},
      { size },
    ),
  ),
  floods('64-gso', 'Tunnel, datagrams of 64 bytes, sender uses UDP GSO, as fast as it can', gso, { size: 64 }),
  ...[10, 1_000, 10_000].map(flows =>
    floods(
      `flows-${flows}`,
      `Tunnel, ${count(flows)} flows in turn, one datagram per system call, as fast as the sender can`,
      {},
      { flows },
    ),
  ),
  ...[1_000, 10_000].map(flows =>
    floods(
      `flows-${flows}-20k`,
      `Tunnel, ${count(flows)} flows in turn, 20,000 datagrams per second in all`,
      { options: ['--rate', '20000'] },
      { flows, figure: 'cpuSecondsPerGB' },
    ),
  ),
]
