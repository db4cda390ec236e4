import type { FlowId } from '../memory/flow-table.js'
import type { SharedStack } from '../memory/shared-stack.js'
import type { End } from '../path/messages.js'

/** A connection that another thread of this process may take over: post it there, and pass it to `Socket.attach`. */
export interface SocketHandle extends FlowId {
  /** @internal */
  readonly shared: SharedStack
  /** @internal */
  readonly receiveBytes: number
}

/** Datagrams that one thread has received and not read, and that another thread gets. Back to back, as in a `Span`. */
export interface Residue {
  readonly bytes: Uint8Array
  readonly segmentSize: number
}

/** Consumer thread → coordinator, on the stack's BroadcastChannel. */
export type Request =
  /**
   * Asks that `thread` become the connection's consumer. `lifeline`: a descriptor of that thread, which the coordinator
   * duplicates. The duplicate becomes readable when the thread ends.
   */
  | ({ to: 'stack'; kind: 'attach'; thread: number; lifeline: number } & FlowId)
  /** The thread offers its connection: another one may take it over. */
  | ({ to: 'stack'; kind: 'offer' } & FlowId)
  /** Asks the coordinator to end the connection with RST. */
  | ({ to: 'stack'; kind: 'end' } & FlowId)
  /** Answers `surrender`. */
  | ({ to: 'stack'; kind: 'surrendered'; residue: Residue[] } & FlowId)

/** Coordinator → consumer thread, on the same channel. `to`: the thread's number. */
export type Notice =
  /** The thread is the connection's consumer now. `residue` comes before what the lanes bring. */
  | ({ to: number; kind: 'attached'; residue: Residue[] } & FlowId)
  /** Turns `attach` down: the connection is gone, or another thread has it. */
  | ({ to: number; kind: 'refused' } & FlowId)
  /** Another thread takes the connection over. Asks for what was not read. */
  | ({ to: number; kind: 'surrender' } & FlowId)
  /** The connection has ended. */
  | ({ to: number; kind: 'ended'; end: End } & FlowId)
  | { to: number; kind: 'stackClosed' }
