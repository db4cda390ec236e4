import type { Level } from '../log/events.js'
import type { DropCounter } from '../memory/counters.js'
import type { Run } from '../memory/run.js'
import type { Memory } from '../native.js'
import type { Batch } from '../path/batch.js'
import type { End, Tuple } from '../path/messages.js'

/**
 * A service handles flows inside the queue workers, so that datagrams never change threads. Its module is loaded once per worker
 * and its default export, a `ServiceFactory`, makes one instance there. A flow always comes to the same worker: its home.
 *
 * What throws, or keeps its worker for half a second (`StackOptions.stuckAfter`), ends it: another worker takes over, its services begin anew, and the
 * flows that live come to them as opened.
 */
export type ServiceFactory = (context: ServiceContext) => Service | Promise<Service>

export interface Service {
  /** A connection exists: accepted, or asked for by `connect` with `flow.token`. */
  opened(flow: ServiceFlow): void
  /** Datagrams of one flow, in order. The batch is valid until this returns. */
  received(flow: ServiceFlow, batch: Batch): void
  /** The connection is gone, whoever ended it. */
  closed(flow: ServiceFlow, end: End): void
  connectFailed?(token: number, error: { code: string; message: string }): void
  /** End of a batch of received packets: write what was gathered. */
  settle?(): void
  /** The worker stops: release what was opened. */
  stop(): void
}

export interface ServiceFlow {
  readonly slot: number
  readonly generation: number
  readonly token: number
  readonly tuple: Tuple
  /** Largest datagram it carries, in bytes; shrinks when a router on the path says that packets are too big. */
  readonly maxDatagram: number
  /** Most bytes of one run. */
  readonly maxPayload: number
  /** False once it is closed. */
  readonly open: boolean
  /** For the service's own use. */
  state: unknown
  /** Writes one datagram at once. False when the device refused it, or the flow is closed. */
  send(datagram: Uint8Array): boolean
  /** As `Socket.sendBatch`: equal datagrams back to back, written at once. Datagrams written. */
  sendBatch(bytes: Uint8Array, segmentSize: number): number
  /** Sends a run of `memory` as one super-packet, gathered from where it lies: `flow.sendRun(batch.memory, batch.run)`. Datagrams written. */
  sendRun(memory: Memory, run: Run): number
  /** Ends the connection: RST to the peer, `closed` follows at once. */
  close(end?: End): void
}

export type PollHandler = (events: number) => boolean

export interface ServiceContext {
  /** What the starter of the service passed. */
  readonly data: unknown
  /** This worker's queue. */
  readonly queue: number
  readonly queues: number
  /** CLOCK_MONOTONIC in milliseconds, read once per turn. */
  now(): number
  /** Calls `handler(events)` when the descriptor is ready; it says whether there was anything to read. 0 or -errno. */
  poll(fd: number, interest: number, handler: PollHandler): number
  unpoll(fd: number): void
  /**
   * Asks for a connection to the first of these addresses (4 or 16 bytes each) that answers, tried a quarter of a second apart. `opened`
   * comes with `token`, or `connectFailed`.
   */
  connect(token: number, remotes: readonly Uint8Array[], port: number): void
  /** Calls `tick` about every `ms` milliseconds until the worker stops. */
  every(ms: number, tick: () => void): void
  /** Calls `act` once, after `ms` milliseconds, unless the worker stops before. */
  after(ms: number, act: () => void): void
  count(counter: DropCounter, by?: number): void
  /**
   * An event for the stack's logger. Of many with the same level and text a few pass one by one; the others become one with the last
   * fields and the number of events as `count`, some seconds later.
   */
  log(level: Level, text: string, fields?: Record<string, unknown>): void
}
