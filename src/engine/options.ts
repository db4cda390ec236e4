import { invalid } from '../errors.js'
import type { EventLog } from '../log/events.js'
import { type WorkerOptions, workerNumbers } from '../memory/worker-options.js'
import { type Address, parseAddress } from '../net/address.js'
import { type Device, minMtu } from '../net/device.js'
import { type Given, type Resolved, resolveNumbers } from '../numbers.js'
import { type ResolvedTun, resolveTun, type TunOptions, tunNumbers } from './tun-options.js'

/**
 * Every number among the options of a stack: what it means and its unit, its default, and what is allowed. Those that
 * the workers read stand in memory/worker-options.ts, those of a TUN interface in tun-options.ts.
 */
export const stackNumbers = {
  /** Most connections at once, 256 bytes of shared memory each. */
  maxConnections: { default: 32_768, min: 1, max: 4 * 1024 * 1024 },
  /** Bytes of packets that may wait between a worker and a consumer. */
  ringBytes: { default: 4 * 1024 * 1024, min: 512 * 1024, max: 2 ** 30 },
  /** Threads that sockets can be transferred to, besides the stack's own. */
  consumers: { default: 4, min: 0, max: 64 },
  /** Most unread bytes of one socket before its newest datagrams are dropped and counted. */
  receiveBytes: { default: 4 * 1024 * 1024, min: 65_536, max: 2 ** 31 - 1 },
  /**
   * Milliseconds that a worker may be busy, or asleep, in one callback of a service before another one takes its place;
   * 0: for ever. Not while it loads a service, and not under a debugger.
   */
  stuckAfter: { default: 500, min: 500, max: 2 ** 30, orZero: true },
  /** MiB of JavaScript heap at which a worker is ended, and another one takes its place. */
  workerHeap: { default: 512, min: 16, max: 1024 * 1024 },
} as const

/** Numbers of `StackOptions.keepalive`: a peer that is gone is noticed within a minute. */
export const keepaliveNumbers = {
  /**
   * Milliseconds of silence after which a peer is asked for a sign of life, and between two such questions. A peer
   * answers one question in 500 ms (RFC 5961 §7): asked more often, a live one would seem dead.
   */
  interval: { default: 15_000, min: 500, max: 2 ** 30 },
  /** Questions without an answer until the connection is closed; the last one waits for half an interval. */
  probes: { default: 3, min: 1, max: 100 },
} as const

export const connectNumbers = {
  /** Milliseconds until the attempt fails; a SYN goes out each second. */
  timeout: { default: 6_000, min: 1, max: 2 ** 31 - 1 },
} as const

export const listenNumbers = {
  /** Connections waiting for `accept`; more are turned away. */
  backlog: { default: 128, min: 1, max: 65_535 },
} as const

export const virtualLinkNumbers = {
  /** Queues of each end, one worker each. */
  queues: { ...tunNumbers.queues, default: 1 },
  /** Bytes of the largest packet. */
  mtu: { ...tunNumbers.mtu, min: minMtu[6] },
} as const

export interface KeepaliveOptions extends Given<typeof keepaliveNumbers> {}

export type ResolvedKeepalive = Resolved<typeof keepaliveNumbers>

export interface StackOptions extends Given<typeof stackNumbers>, Given<typeof workerNumbers> {
  tun?: TunOptions
  /** A device made elsewhere (`createVirtualLink`) instead of a TUN interface; the stack closes it. */
  device?: Device
  /** Our address on `device`; default: what the device brings. */
  stackAddress?: string
  stackAddress6?: string
  /**
   * Ask silent peers for a sign of life, and close connections to those that give none; `{}`: with the defaults.
   * Default: never.
   */
  keepalive?: KeepaliveOptions
  /** Where the stack tells of its life; a pino logger or anything like it. Default: nowhere. */
  logger?: EventLog
}

export interface ConnectOptions extends Given<typeof connectNumbers> {
  signal?: AbortSignal
}

export interface ListenOptions extends Given<typeof listenNumbers> {}

/** `StackOptions`, checked and complete: what the rest of the engine reads. */
export interface ResolvedOptions extends Resolved<typeof stackNumbers> {
  /** undefined: there is a `device`. */
  readonly tun: ResolvedTun | undefined
  readonly stackAddress: Address | undefined
  readonly stackAddress6: Address | undefined
  /** undefined: never ask. */
  readonly keepalive: ResolvedKeepalive | undefined
  /** What the workers read. */
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
