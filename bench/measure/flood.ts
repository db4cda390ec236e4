import { setTimeout as sleep } from 'node:timers/promises'
import type { Network } from '../../src/lab/network.js'
import type { Pair } from '../ends.js'
import { type Program, programs } from '../programs.js'
import { type Metrics, metricsOf, type Sent } from '../scenario.js'
import { DRAIN, entrance, SinkReader, SLACK, since, sinkCommand, Tunnel, WARMUP } from './tunnel.js'

export interface Flood {
  /** The load tool. */
  sender: Program
  /** Its options besides the common ones: `--gso`, `--rate N`. */
  options?: readonly string[]
  size: number
  flows: number
}

/** Connections that open together need longer than one does. */
const warmup = (flows: number): number => WARMUP + Math.min(1500, flows / 4)

const loadCommand = (load: Flood, to: string, seconds: number): string[] => [
  ...[...programs[load.sender], ...(load.options ?? []), '--to', to, '--size', String(load.size)],
  ...['--flows', String(load.flows), '--warmup', String(warmup(load.flows)), '--seconds', String(seconds)],
]

/**
 * The same load over the wire without a tunnel, which shows what sender and sink themselves can do. `at` is the address
 * of B's end, and a port.
 */
export const directFlood = async (network: Network, at: string, seconds: number, load: Flood): Promise<Metrics> => {
  const command = [...programs.udpSink, '--listen', at, '--seconds', String(seconds + SLACK)]
  const far = network.b.run(command, { name: 'sink', seconds: seconds + SLACK })
  try {
    await far.until(() => far.stderr.includes('ready'), 'UDP socket')
    const near = network.a.run(loadCommand(load, at, seconds), { name: 'load', seconds: seconds + SLACK })
    const sent = await near.json<Sent>()
    await sleep(DRAIN)
    return metricsOf(sent, await new SinkReader(far).read(), [0, 0], 0)
  } finally {
    await far.stop()
  }
}

/** One-way load through a tunnel, from A to B. */
export const flood = (network: Network, pair: Pair, seconds: number, load: Flood): Promise<Metrics> =>
  Tunnel.with(network, pair, seconds, sinkCommand(seconds), async tunnel => {
    const sink = new SinkReader(tunnel.far)
    const sender = tunnel.load(loadCommand(load, entrance, seconds))
    // The cost of opening the connections is not that of the load.
    await sender.until(() => sender.stderr.includes('started'), 'start of the load', tunnel.limit)
    const before = tunnel.cpu()
    const sent = await sender.json<Sent>()
    await sleep(DRAIN)
    const cpu = since(before, tunnel.cpu())
    return metricsOf(sent, await sink.read(), cpu, tunnel.memoryMB())
  })
