import type { FlowId } from '../memory/flow-table.js'
import type { End } from '../path/messages.js'

/** Who consumes a flow, and who hears of its end. */
export interface FlowUser {
  /** Number of the thread that its datagrams go to. */
  readonly consumer: number
  /** Number of the service that it belongs to; -1: none. */
  readonly service: number
  /** What the service passed to `connect`; 0 for accepted connections. */
  readonly token: number
  /**
   * Called once when the flow ends, while its slot still holds its fields. Absent for a service: its worker learns the
   * end from a purge.
   */
  ended?(flow: FlowId, end: End): void
}

/** Accepts the connections to a port: a listener or a service. */
export interface Acceptor {
  /** Whether it accepts one more connection now. If not, the peer gets no answer, and may try again. */
  admits(): boolean
  /** Who uses a connection whose packets arrive on `queue`. */
  user(queue: number): FlowUser
  /** A connection has begun. Called before any of its datagrams is delivered. */
  accepted(flow: FlowId): void
}
