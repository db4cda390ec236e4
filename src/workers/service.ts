import type { EventName, Level, ServiceEvent } from '../log/events.js'
import type { Batch } from '../memory/batch.js'
import type { CloseReason } from '../path/messages.js'

/**
 * Makes a service: code that handles connections inside the queue workers, so that their datagrams need not go to
 * another thread. Every worker loads the service's module, whose default export is a `ServiceFactory`, and makes one
 * instance. A connection stays with the worker that got it first.
 *
 * If a service throws in a callback, or does not return for half a second (`StackOptions.stuckAfter`), the worker
 * is ended and another one replaces it. There each service is made again, and `opened` is called for each connection
 * that still exists, at its next datagram.
 *
 * `State` is the type of `flow.state`, `Data` that of the `workerData` that was passed to `Stack.serve`, and
 * `CounterName` has the names of the counters that were passed to it.
 */
export type ServiceFactory<State = unknown, Data = unknown, CounterName extends string = string> = (
  context: ServiceContext<Data, CounterName>,
) => Service<State> | Promise<Service<State>>

/** One instance of a service, in one worker. */
export interface Service<State = unknown> {
  /** A connection exists. It was accepted, or asked for by `connect` with `flow.token`. */
  opened(flow: ServiceFlow<State>): void
  /** Datagrams of one connection came, in this order. The batch is valid until this returns. */
  received(flow: ServiceFlow<State>, batch: Batch): void
  /** The connection is gone, whichever side ended it. */
  closed(flow: ServiceFlow<State>, reason: CloseReason): void
  /** `connect` with this token failed. `error.code` is an `ErrorCode`. */
  connectFailed?(token: number, error: { code: string; message: string }): void
  /** A batch of received packets ends: send what was gathered from it. */
  settle?(): void
  /** The worker stops: close what the service has opened. */
  stop(): void
}

/** A connection that belongs to a service. */
export interface ServiceFlow<State = unknown> {
  /** What `connect` was called with; 0 for accepted connections. */
  readonly token: number
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localPort: number
  /** Largest datagram it carries, in bytes; shrinks when a router on the path says that packets are too big. */
  readonly maxDatagram: number
  /** The most bytes that a batch for `send` may have. */
  readonly maxPayload: number
  /** False once the connection is closed. */
  readonly open: boolean
  /** For the service's own use. */
  state: State | undefined
  /**
   * Sends at once: one datagram, or a batch, which may be the one that `received` got. The datagrams of a batch leave
   * without a copy, as one super-packet. Returns the number of datagrams written: fewer when the device refused some, 0
   * when the connection is closed. Throws DATAGRAM_SIZE for a single datagram that is empty or too large.
   */
  send(data: Uint8Array | Batch): number
  /**
   * Sends equal datagrams at once, without a copy: `bytes` has them back to back, `segmentSize` bytes each, the last
   * may be shorter. Returns the number of datagrams written. Throws DATAGRAM_SIZE when `segmentSize` is not from 1 to
   * `maxDatagram`.
   */
  sendBatch(bytes: Uint8Array, segmentSize: number): number
  /** Ends the connection with RST. Calls the service's `closed` before it returns. `reason` defaults to 'local'. */
  close(reason?: CloseReason): void
}

/** Reads what a descriptor has. Returns whether there was anything. */
export type ReadHandler = () => boolean

/** What an instance of a service gets from its worker. */
export interface ServiceContext<Data = unknown, CounterName extends string = string> {
  /** The `workerData` that was passed to `Stack.serve`. */
  readonly data: Data
  /** Number of this worker's queue, from 0. */
  readonly queue: number
  /** How many queues, and so workers, the stack has. */
  readonly queues: number
  /** CLOCK_MONOTONIC in milliseconds, read once per turn of the worker. */
  now(): number
  /** Calls `read` whenever the descriptor is readable. Returns 0, or -errno when the kernel refuses to watch it. */
  onReadable(fd: number, read: ReadHandler): number
  /** Ends `onReadable`. Call before the descriptor is closed. */
  offReadable(fd: number): void
  /**
   * Asks for a connection to the first of these addresses (4 or 16 bytes each) that answers. The attempts begin a
   * quarter of a second apart. The service's `opened` is called with `token` in the flow, or its `connectFailed`.
   */
  connect(token: number, remotes: readonly Uint8Array[], port: number): void
  /** Calls `tick` about every `ms` milliseconds until the worker stops. */
  every(ms: number, tick: () => void): void
  /** Calls `act` once, in `ms` milliseconds, unless the worker stops before. */
  after(ms: number, act: () => void): void
  /**
   * Adds `by`, by default 1, to one of the counters that were passed to `Stack.serve`. `Stack.stats` has their values.
   * Throws INVALID_ARGUMENT for any other name.
   */
  count(counter: CounterName, by?: number): void
  /**
   * Sends an event to the stack's logger, with the event's name in the field `event`. Name the events of your service
   * with a prefix, as in `echo:started`. Of many events with the same level and text a few are logged one by one. The
   * others are logged as one, some seconds later, with the fields of the last one and their number as `count`.
   */
  log(level: Level, event: EventName | ServiceEvent, text: string, fields?: Record<string, unknown>): void
}
