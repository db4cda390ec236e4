import type { Network, Shape } from '../src/lab/network.js'

/**
 * What one run of one peer showed. Rates count the datagrams that arrived, from the first to the last one. 0 stands for
 * "not measured". CPU time is user and system time of the programs under test, without that of load tools and
 * interrupts.
 */
export interface Metrics {
  datagramsPerSecond: number
  /** Datagrams that the sender handed to its kernel, per second of its own time. */
  offeredPerSecond: number
  /** Payload only, in 10⁹ bit/s. */
  gbitPerSecond: number
  /** Share of what the sender handed to its kernel. */
  lossPercent: number
  /** Datagrams that came after a later one. */
  reordered: number
  corrupted: number
  /** CPU time of both programs under test per 10⁹ bytes of delivered payload. */
  cpuSecondsPerGB: number
  /** The same of the program that sends (tunnel: the client). */
  senderCpuPerGB: number
  /** The same of the program that receives (tunnel: the server). */
  receiverCpuPerGB: number
  /** CPU time of both programs per delivered datagram, in microseconds. */
  cpuMicrosPerDatagram: number
  /** Peak resident memory of both programs under test together, in MB. */
  memoryMB: number
  /** Round trip in microseconds. */
  latencyP50: number
  latencyP99: number
}

/** The figure that a scenario is about: the one of its `ratio` and its first column. */
export type Figure = 'datagramsPerSecond' | 'cpuSecondsPerGB' | 'latencyP50'

/**
 * `ours` is divided by `reference`. `mixed` has one end of each. `other` (a third peer) and `limit` (what the kernel
 * could do) are there for comparison.
 */
export type Role = 'ours' | 'mixed' | 'reference' | 'other' | 'limit'

export interface Peer {
  name: string
  role: Role
  /** Why it cannot run here, in one sentence. Undefined means that it can. */
  absent: string | undefined
  /** A quick look leaves it out. */
  slow?: boolean
  run(network: Network, seconds: number): Promise<Metrics>
}

export interface Scenario {
  /** `group/name`. `--only` takes either. */
  name: string
  title: string
  figure: Figure
  shapes: readonly Shape[]
  /** Shapes that `--quick` keeps. */
  quick: readonly Shape[]
  /** Bytes per datagram, and number of flows. */
  size: number
  flows: number
  /** The time that one run takes, about, when its load takes `seconds`. */
  duration(seconds: number): number
  peers: readonly Peer[]
}

/** What senders print. */
export interface Sent {
  datagrams: number
  bytes: number
  seconds: number
  cpuSeconds: number
  memoryMB?: number
}

/** What receivers print. */
export interface Arrived {
  datagrams: number
  bytes: number
  seconds: number
  reordered?: number
  corrupted?: number
  memoryMB?: number
}

/** CPU time in seconds of the sending and the receiving program under test. */
export type Cpu = readonly [sender: number, receiver: number]

export const metricsOf = (sent: Sent, arrived: Arrived, cpu: Cpu, memoryMB: number): Metrics => {
  const { datagrams, bytes, seconds } = arrived
  const perGB = (cpuSeconds: number): number => (bytes > 0 ? (cpuSeconds / bytes) * 1e9 : 0)
  const both = cpu[0] + cpu[1]
  return {
    datagramsPerSecond: seconds > 0 ? datagrams / seconds : 0,
    offeredPerSecond: sent.seconds > 0 ? sent.datagrams / sent.seconds : 0,
    gbitPerSecond: seconds > 0 ? (bytes * 8) / seconds / 1e9 : 0,
    lossPercent: sent.datagrams > 0 ? Math.max(0, 100 * (1 - datagrams / sent.datagrams)) : 0,
    reordered: arrived.reordered ?? 0,
    corrupted: arrived.corrupted ?? 0,
    cpuSecondsPerGB: perGB(both),
    senderCpuPerGB: perGB(cpu[0]),
    receiverCpuPerGB: perGB(cpu[1]),
    cpuMicrosPerDatagram: datagrams > 0 ? (both / datagrams) * 1e6 : 0,
    memoryMB,
    latencyP50: 0,
    latencyP99: 0,
  }
}
