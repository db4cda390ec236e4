import type { EventName, Level, ServiceEvent } from '../log/events.js'
import type { Batch } from '../memory/batch.js'
import type { CloseReason } from '../path/messages.js'

/**
 * A service handles flows inside the queue workers, so that datagrams never change threads. Its module is loaded once
 * per worker and its default export, a `ServiceFactory`, makes one instance there. A flow always comes to the same
 * worker: its home.
 *
 * What throws, or keeps its worker for half a second (`StackOptions.stuckAfter`), ends it: another worker takes over,
 * its services begin anew, and the flows that live come to them as opened.
 *
 * `State` is what the service keeps in `flow.state`, `Data` what its starter passed as `workerData`, `CounterName` the
 * names of the counters that it was served with.
 */
export type ServiceFactory<State = unknown, Data = unknown, CounterName extends string = string> = (
  context: ServiceContext<Data, CounterName>,
) => Service<State> | Promise<Service<State>>

export interface Service<State = unknown> {
  /** A connection exists: accepted, or asked for by `connect` with `flow.token`. */
  opened(flow: ServiceFlow<State>): void
  /** Datagrams of one flow, in order. The batch is valid until this returns. */
  received(flow: ServiceFlow<State>, batch: Batch): void
  /** The connection is gone, whoever ended it. */
  closed(flow: ServiceFlow<State>, reason: CloseReason): void
  /** `connect` with this token failed. */
  connectFailed?(token: number, error: { code: string; message: string }): void
  /** End of a batch of received packets: write what was gathered. */
  settle?(): void
  /** The worker stops: release what was opened. */
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
  /** Most bytes of one batch. */
  readonly maxPayload: number
  /** False once it is closed. */
  readonly open: boolean
  /** For the service's own use. */
  state: State | undefined
  /**
   * Writes at once: one datagram, or a batch, which may be the very one that `received` got: its datagrams leave from
   * where they lie, as one super-packet. Answers the datagrams written: fewer when the device refused, 0 when the flow
   * is closed. Throws DATAGRAM_SIZE for a single datagram that is too large.
   */
  send(data: Uint8Array | Batch): number
  /** As `Socket.sendBatch`: equal datagrams back to back, written at once. Datagrams written. Throws DATAGRAM_SIZE. */
  sendBatch(bytes: Uint8Array, segmentSize: number): number
  /** Ends the connection: RST to the peer, `closed` follows at once. */
  close(reason?: CloseReason): void
}

/** Reads what a descriptor has; whether there was anything. */
export type ReadHandler = () => boolean

export interface ServiceContext<Data = unknown, CounterName extends string = string> {
  /** What the starter of the service passed. */
  readonly data: Data
  /** This worker's queue. */
  readonly queue: number
  readonly queues: number
  /** CLOCK_MONOTONIC in milliseconds, read once per turn. */
  now(): number
  /**
   * Calls `read` whenever the descriptor is readable; it says whether there was anything to read. 0, or -errno when the
   * kernel refuses.
   */
  onReadable(fd: number, read: ReadHandler): number
  /** Takes `onReadable` back. Call before the descriptor is closed. */
  offReadable(fd: number): void
  /**
   * Asks for a connection to the first of these addresses (4 or 16 bytes each) that answers, tried a quarter of a
   * second apart. `opened` comes with `token`, or `connectFailed`.
   */
  connect(token: number, remotes: readonly Uint8Array[], port: number): void
  /** Calls `tick` about every `ms` milliseconds until the worker stops. */
  every(ms: number, tick: () => void): void
  /** Calls `act` once, after `ms` milliseconds, unless the worker stops before. */
  after(ms: number, act: () => void): void
  /**
   * Adds to one of the counters that the service was served with (`Stack.serve`); `Stack.stats` shows them. Throws
   * INVALID_ARGUMENT for any other name.
   */
  count(counter: CounterName, by?: number): void
  /**
   * An event for the stack's logger, which gets its name as the field `event`. A service of yours names its events with
   * a prefix, as in `echo:started`. Of many with the same level and text a few pass one by one; the others become one
   * with the last fields and the number of events as `count`, some seconds later.
   */
  log(level: Level, event: EventName | ServiceEvent, text: string, fields?: Record<string, unknown>): void
}
