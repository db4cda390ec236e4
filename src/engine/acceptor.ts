import type { FlowId } from '../memory/flow-table.js'
import type { End } from '../path/messages.js'

/** Who consumes a flow, and who hears of its end. */
export interface FlowUser {
  /** Number of the thread that its datagrams go to. */
  readonly consumer: number
  /** Number of the service that it belongs to; -1: none. */
  readonly service: number
  /** What the service called it when it asked for it; 0 for accepted ones. */
  readonly token: number
  /** Called once, while the flow's slot still holds its numbers. A service hears of the end by a purge. */
  ended?(flow: FlowId, end: End): void
}

/** Who accepts the connections that come to a port. */
export interface Acceptor {
  /** Whether it takes one more connection now. The peer of one that is turned away may try again. */
  admits(): boolean
  /** Who uses a connection whose packets arrive on `queue`. */
  user(queue: number): FlowUser
  /** A connection has begun. Called before anything of it is delivered. */
  accepted(flow: FlowId): void
}
