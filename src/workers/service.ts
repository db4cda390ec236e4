import type { DropCounter } from '../memory/counters.js'
import type { Memory } from '../native.js'
import type { End, Tuple } from './messages.js'
import type { Run } from './run.js'

/**
 * A service handles flows inside the queue workers, so that datagrams never change threads. Its module is loaded once per worker
 * and its default export, a `ServiceFactory`, makes one instance there. A flow always comes to the same worker: its home.
 */
export type ServiceFactory = (context: ServiceContext) => Service | Promise<Service>

export interface Service {
  /** A connection exists: accepted, or asked for by `connect` with `flow.token`. */
  opened(flow: ServiceFlow): void
  /** Datagrams of one flow, in order. Memory and run are valid until this returns. */
  received(flow: ServiceFlow, batch: Batch): void
  /** The connection is gone, whoever ended it. */
  closed(flow: ServiceFlow, end: End): void
  connectFailed?(token: number, error: { code: string; message: string }): void
  /** End of a batch of received packets: write what was gathered. */
  settle?(): void
  /** The worker stops: release what was opened. */
  stop(): void
}

/** Datagrams as ranges of one memory. */
export interface Batch {
  readonly memory: Memory
  readonly bytes: Uint8Array
  /** Pieces, in bytes of `memory`; all datagrams have `run.segmentSize` bytes but the last, which may be shorter. No piece ends inside a datagram. */
  readonly run: Run
}

export interface ServiceFlow {
  readonly slot: number
  readonly generation: number
  readonly token: number
  readonly tuple: Tuple
  /** Largest datagram it carries, in bytes. */
  readonly maxDatagram: number
  /** False once it is closed. */
  readonly open: boolean
  /** For the service's own use. */
  state: unknown
}

export interface ServiceContext {
  /** What the starter of the service passed. */
  readonly data: unknown
  /** This worker's queue. */
  readonly queue: number
  readonly queues: number
  /** CLOCK_MONOTONIC in milliseconds, read once per turn. */
  now(): number
  /** Calls `handler(events)` when the descriptor is ready. 0 or -errno. */
  poll(fd: number, interest: number, handler: (events: number) => void): number
  unpoll(fd: number): void
  /** Asks for a connection; `opened` comes with `token`, or `connectFailed`. */
  connect(token: number, remote: Uint8Array, port: number): void
  /** Writes pieces of `memory` (pairs at `vecAt` of the arena `vec`) as one super-packet. Datagrams written. */
  send(
    flow: ServiceFlow,
    memory: Memory,
    vec: number,
    vecAt: number,
    pieces: number,
    bytes: number,
    segmentSize: number,
  ): number
  /** Most bytes of one `send` on a flow of this family. */
  maxPayload(family: number): number
  /** Ends the connection: RST to the peer, `closed` follows at once. */
  close(flow: ServiceFlow, end?: End): void
  /** Calls `tick` about every `ms` milliseconds until the worker stops. */
  every(ms: number, tick: () => void): void
  count(counter: DropCounter, by?: number): void
  log(level: 'debug' | 'info' | 'warn' | 'error', text: string, fields?: Record<string, unknown>): void
}
