import type { Network } from '../../src/lab/network.js'
import type { Pair } from '../ends.js'
import { programs } from '../programs.js'
import { type Arrived, type Metrics, metricsOf, type Sent } from '../scenario.js'
import { entrance, exit, since, Tunnel, WARMUP } from './tunnel.js'

interface Both {
  sent: Sent
  arrived: Arrived
}

const sum = (figure: 'datagrams' | 'bytes' | 'reordered' | 'corrupted', ...parts: Arrived[]): number =>
  parts.reduce((total, part) => total + (part[figure] ?? 0), 0)

/**
 * Load in both directions at once. Each end sends one datagram per system call as fast as it can. Rates are those of
 * both ends together.
 */
export const duplex = (network: Network, pair: Pair, seconds: number, size: number): Promise<Metrics> => {
  const common = ['--size', String(size), '--warmup', String(WARMUP), '--seconds', String(seconds)]
  return Tunnel.with(network, pair, seconds, [...programs.udpDuplex, '--listen', exit, ...common], async tunnel => {
    const near = tunnel.load([...programs.udpDuplex, '--to', entrance, ...common])
    const before = tunnel.cpu()
    const [a, b] = await Promise.all([near.json<Both>(), tunnel.far.json<Both>()])
    const arrived = {
      datagrams: sum('datagrams', a.arrived, b.arrived),
      bytes: sum('bytes', a.arrived, b.arrived),
      seconds: Math.max(a.arrived.seconds, b.arrived.seconds),
      reordered: sum('reordered', a.arrived, b.arrived),
      corrupted: sum('corrupted', a.arrived, b.arrived),
    }
    const sent = { ...a.sent, datagrams: sum('datagrams', a.sent, b.sent), bytes: sum('bytes', a.sent, b.sent) }
    return metricsOf(sent, arrived, since(before, tunnel.cpu()), tunnel.memoryMB())
  })
}
