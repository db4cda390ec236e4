import type { Network } from '../src/lab/network.js'

/** What one run of one peer showed. Rates are of datagrams that arrived, from the first to the last one. */
export interface Metrics {
  datagramsPerSecond: number
  /** Payload only, in 10⁹ bit/s. */
  gbitPerSecond: number
  /** Of what the sender handed to its kernel. */
  lossPercent: number
  /** Datagrams that came behind a later one. */
  reordered: number
  corrupted: number
  /** User and system time of both programs under test per 10⁹ bytes of delivered payload. */
  cpuSecondsPerGB: number
  /** Peak resident memory of both programs under test together, in MB; 0: not measured. */
  memoryMB: number
}

/** `ours` is divided by `reference`; `limit` is context: what the kernel could do. */
export type Role = 'ours' | 'reference' | 'limit'

export interface Peer {
  name: string
  role: Role
  /** Why it can't run here, in one sentence; undefined: it can. */
  absent: string | undefined
  run(network: Network, seconds: number): Promise<Metrics>
}

export interface Scenario {
  /** `group/name`; `--only` takes either. */
  name: string
  title: string
  peers: Peer[]
}

/** What receivers and senders print. */
export interface Sent {
  datagrams: number
  bytes: number
  seconds: number
  cpuSeconds: number
}
export interface Arrived extends Sent {
  reordered?: number
  corrupted?: number
}

export const metricsOf = (sent: Sent, arrived: Arrived, cpuSeconds: number, memoryMB: number): Metrics => ({
  datagramsPerSecond: arrived.seconds > 0 ? arrived.datagrams / arrived.seconds : 0,
  gbitPerSecond: arrived.seconds > 0 ? (arrived.bytes * 8) / arrived.seconds / 1e9 : 0,
  lossPercent: sent.datagrams > 0 ? Math.max(0, 100 * (1 - arrived.datagrams / sent.datagrams)) : 0,
  reordered: arrived.reordered ?? 0,
  corrupted: arrived.corrupted ?? 0,
  cpuSecondsPerGB: arrived.bytes > 0 ? (cpuSeconds / arrived.bytes) * 1e9 : 0,
  memoryMB,
})
