import type { FlowId } from '../memory/flow-table.js'
import type { SharedStack } from '../memory/shared-stack.js'
import type { End } from '../path/messages.js'

/** A connection on its way to another thread of this process: post it there, and give it to `Socket.attach`. */
export interface SocketHandle extends FlowId {
  /** @internal */
  readonly shared: SharedStack
  /** @internal */
  readonly receiveBytes: number
}

/** Datagrams that had arrived and were not yet read. */
export interface Residue {
  readonly bytes: Uint8Array
  readonly segmentSize: number
}

/** Consumer thread → coordinator, on the stack's channel. */
export type Request =
  /** The connection shall be consumed by `thread`, which lives as long as its `lifeline` stays open. */
  | ({ to: 'stack'; kind: 'attach'; thread: number; lifeline: number } & FlowId)
  /** Another thread may take it over. */
  | ({ to: 'stack'; kind: 'offer' } & FlowId)
  | ({ to: 'stack'; kind: 'end' } & FlowId)
  | ({ to: 'stack'; kind: 'surrendered'; residue: Residue[] } & FlowId)

/** Coordinator → consumer thread. */
export type Notice =
  | ({ to: number; kind: 'attached'; residue: Residue[] } & FlowId)
  /** The connection is gone, or another thread has it. */
  | ({ to: number; kind: 'refused' } & FlowId)
  /** Another thread takes it over: what was not read goes there. */
  | ({ to: number; kind: 'surrender' } & FlowId)
  | ({ to: number; kind: 'ended'; end: End } & FlowId)
  | { to: number; kind: 'stackClosed' }
