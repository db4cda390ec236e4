import type { FlowId } from '../memory/flow-table.js'
import type { End } from '../path/messages.js'

/** Who consumes a flow: a thread, and what to tell when it opens and ends. */
export interface Owner {
  readonly consumer: number
  readonly service: number
  readonly token: number
  /** A port's owner may turn a connection away. */
  admits?(): boolean
  opened?(id: FlowId): void
  ended?(id: FlowId, end: End): void
}
