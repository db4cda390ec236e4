import { setTimeout as sleep } from 'node:timers/promises'
import type { Network } from '../../src/lab/network.js'
import type { Pair } from '../ends.js'
import { type Program, programs } from '../programs.js'
import { type Metrics, metricsOf, type Sent } from '../scenario.js'
import { DRAIN, entrance, SinkReader, since, sinkCommand, Tunnel, WARMUP } from './tunnel.js'

export interface Flood {
  /** The load tool. */
  sender: Program
  /** Its options besides the common ones: `--gso`, `--rate N`. */
  options?: readonly string[]
  size: number
  flows: number
}

/** Connections that open together need longer than one. */
const warmup = (flows: number): number => WARMUP + Math.min(1500, flows / 4)

/** One-way load through a tunnel, A to B. */
export const flood = (network: Network, pair: Pair, seconds: number, load: Flood): Promise<Metrics> =>
  Tunnel.with(network, pair, seconds, sinkCommand(seconds), async tunnel => {
    const sink = new SinkReader(tunnel.far)
    const command = [
      ...[...programs[load.sender], ...(load.options ?? []), '--to', entrance, '--size', String(load.size)],
      ...['--flows', String(load.flows), '--warmup', String(warmup(load.flows)), '--seconds', String(seconds)],
    ]
    const sender = tunnel.load(command)
    // What opening the connections costs isn't the load's.
    await sender.until(() => sender.stderr.includes('started'), 'start of the load', tunnel.limit)
    const before = tunnel.cpu()
    const sent = await sender.json<Sent>()
    await sleep(DRAIN)
    const cpu = since(before, tunnel.cpu())
    return metricsOf(sent, await sink.read(), cpu, tunnel.memoryMB())
  })
