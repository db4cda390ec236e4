import type { Network } from '../../src/lab/network.js'
import type { Pair } from '../ends.js'
import { programs } from '../programs.js'
import { type Metrics, metricsOf } from '../scenario.js'
import { entrance, exit, SLACK, since, Tunnel } from './tunnel.js'

/**
 * Warm-up at the measured rate, in milliseconds. Programs that run for days are measured as they are then, not as they
 * start.
 */
export const WARMUP = 3000

/** Datagrams there and back per second, as a game or a voice call sends them. */
const RATE = 1000

interface RoundTrips {
  datagrams: number
  arrived: number
  size: number
  seconds: number
  reordered: number
  p50: number
  p99: number
}

const pingCommand = (to: string, seconds: number, size: number): string[] => [
  ...[...programs.udpLatency, '--to', to, '--size', String(size), '--rate', String(RATE)],
  ...['--warmup', String(WARMUP), '--seconds', String(seconds)],
]

const metrics = (trips: RoundTrips, cpu: readonly [number, number], memoryMB: number): Metrics => {
  const sent = { ...trips, bytes: trips.datagrams * trips.size, cpuSeconds: 0 }
  const arrived = { ...trips, datagrams: trips.arrived, bytes: trips.arrived * trips.size, corrupted: 0 }
  return { ...metricsOf(sent, arrived, cpu, memoryMB), latencyP50: trips.p50, latencyP99: trips.p99 }
}

const echo = (at: string): string[] => [...programs.udpLatency, '--echo', at]

/** Round trips through a tunnel, with an echo on the far side. */
export const latency = (network: Network, pair: Pair, seconds: number, size: number): Promise<Metrics> =>
  Tunnel.with(network, pair, seconds, echo(exit), async tunnel => {
    const before = tunnel.cpu()
    const trips = await tunnel.load(pingCommand(entrance, seconds, size)).json<RoundTrips>()
    return metrics(trips, since(before, tunnel.cpu()), tunnel.memoryMB())
  })

/**
 * Round trips between the same two namespaces without a tunnel. `at` is the address of B's end of the wire, and a port.
 */
export const directLatency = async (network: Network, at: string, seconds: number, size: number): Promise<Metrics> => {
  const far = network.b.run(echo(at), { name: 'echo', seconds: seconds + SLACK })
  try {
    await far.until(() => far.stderr.includes('ready'), 'UDP socket')
    const near = network.a.run(pingCommand(at, seconds, size), { name: 'udp-latency', seconds: seconds + SLACK })
    return metrics(await near.json<RoundTrips>(), [0, 0], 0)
  } finally {
    await far.stop()
  }
}
