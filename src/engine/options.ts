import { invalid } from '../errors.js'
import type { EventLog } from '../log/events.js'
import { type WorkerOptions, workerNumbers } from '../memory/worker-options.js'
import { type Address, parseAddress } from '../net/address.js'
import { type Device, minMtu } from '../net/device.js'
import { type Given, type Resolved, resolveNumbers } from '../numbers.js'
import { type ResolvedTun, resolveTun, type TunOptions, tunNumbers } from './tun-options.js'

/**
 * The numeric options of a stack: their meaning and unit, default and range. Those that workers read are in
 * memory/worker-options.ts, those of a TUN interface in tun-options.ts.
 */
export const stackNumbers = {
  /** Maximum of connections at once. Each takes 256 bytes of shared memory, and its share of the tuple index. */
  maxConnections: { default: 32_768, min: 1, max: 4 * 1024 * 1024 },
  /** Bytes of packets that may wait between one worker and one consumer. */
  ringBytes: { default: 4 * 1024 * 1024, min: 512 * 1024, max: 2 ** 30 },
  /** Maximum of other threads that may hold sockets of the stack at once. */
  consumers: { default: 4, min: 0, max: 64 },
  /** Maximum of unread bytes of one socket. Datagrams that come beyond it are dropped and counted. */
  receiveBytes: { default: 4 * 1024 * 1024, min: 65_536, max: 2 ** 31 - 1 },
  /**
   * Milliseconds that a worker may spend in one callback of a service, busy or asleep, before another worker takes its
   * place; 0: any time. Does not count while a service loads, nor under a debugger.
   */
  stuckAfter: { default: 500, min: 500, max: 2 ** 30, orZero: true },
  /** MiB of JavaScript heap at which a worker is ended and another one takes its place. */
  workerHeap: { default: 512, min: 16, max: 1024 * 1024 },
} as const

/**
 * Numeric options of `StackOptions.keepalive`. With the defaults the stack finds within a minute that a peer is gone.
 */
export const keepaliveNumbers = {
  /**
   * Milliseconds of silence before the first probe, and between two probes. The minimum is 500, because a peer answers
   * at most one probe in 500 ms (RFC 5961 §7): with more of them, a live peer would seem dead.
   */
  interval: { default: 15_000, min: 500, max: 2 ** 30 },
  /**
   * Number of probes without an answer after which the connection is closed. The peer has half an interval to answer
   * the last one.
   */
  probes: { default: 3, min: 1, max: 100 },
} as const

export const connectNumbers = {
  /** Milliseconds until the attempt fails. The stack sends a SYN each second. */
  timeout: { default: 6_000, min: 1, max: 2 ** 31 - 1 },
} as const

export const listenNumbers = {
  /** Maximum of connections that wait for `accept`. The peers of more get no answer, and may try again. */
  backlog: { default: 128, min: 1, max: 65_535 },
} as const

export const virtualLinkNumbers = {
  /** Queues of each end, one worker each. */
  queues: { ...tunNumbers.queues, default: 1 },
  /** Bytes of the largest IP packet. */
  mtu: { ...tunNumbers.mtu, min: minMtu[6] },
} as const

export interface KeepaliveOptions extends Given<typeof keepaliveNumbers> {}

export type ResolvedKeepalive = Resolved<typeof keepaliveNumbers>

export interface StackOptions extends Given<typeof stackNumbers>, Given<typeof workerNumbers> {
  /** Make a TUN interface, or take one over. Exactly one of `tun` and `device` must be given. */
  tun?: TunOptions
  /** A device of `createVirtualLink`, instead of a TUN interface. The stack closes it. */
  device?: Device
  /** The stack's own IPv4 address on `device`. Default: `Device.stackAddress`. */
  stackAddress?: string
  /** The same for IPv6. */
  stackAddress6?: string
  /**
   * Send probes to silent peers, and close the connections of those that do not answer. `{}`: with the defaults.
   * Default: never.
   */
  keepalive?: KeepaliveOptions
  /** Gets the stack's events: a pino logger or anything like it. Default: none. */
  logger?: EventLog
}

export interface ConnectOptions extends Given<typeof connectNumbers> {
  /** When it aborts, `connect` rejects with ABORTED. */
  signal?: AbortSignal
}

export interface ListenOptions extends Given<typeof listenNumbers> {}

/** `StackOptions`, checked and complete: what the rest of the engine reads. */
export interface ResolvedOptions extends Resolved<typeof stackNumbers> {
  /** undefined: there is a `device`. */
  readonly tun: ResolvedTun | undefined
  readonly stackAddress: Address | undefined
  readonly stackAddress6: Address | undefined
  /** undefined: no probes. */
  readonly keepalive: ResolvedKeepalive | undefined
  /** The options that workers read. */
  readonly workers: WorkerOptions
  readonly logger: EventLog | undefined
}

/** Throws INVALID_ARGUMENT. */
export const resolveOptions = (options: StackOptions): ResolvedOptions => {
  const { tun, device, keepalive, logger } = options
  if ((tun === undefined) === (device === undefined)) throw invalid('Stack.open needs either `tun` or `device`.')
  return {
    ...resolveNumbers(stackNumbers, options),
    tun: tun && resolveTun(tun),
    stackAddress: ownAddress(options.stackAddress, '`stackAddress`', 4),
    stackAddress6: ownAddress(options.stackAddress6, '`stackAddress6`', 6),
    keepalive: keepalive && resolveNumbers(keepaliveNumbers, keepalive, 'keepalive.'),
    workers: resolveNumbers(workerNumbers, options),
    logger,
  }
}

const ownAddress = (text: string | undefined, what: string, family: 4 | 6): Address | undefined =>
  text === undefined ? undefined : parseAddress(text, what, family)
