import { Field, type FlowId, type FlowTable, State } from '../memory/flow-table.js'
import type { StackMemory } from '../memory/shared-stack.js'
import { native } from '../native.js'
import { type Address, remoteAddress } from '../net/address.js'
import type { Egress } from '../path/egress.js'
import type { End } from '../path/messages.js'
import { headersLength } from '../wire/sizes.js'
import type { FlowUser } from './acceptor.js'
import { type NewFlow, TupleTable } from './tuple-table.js'
import type { Witness } from './witness.js'

/** A connection that begins: accepted (`established`), or asked for by us (`synSent`). */
export interface NewConnection
  extends Pick<NewFlow, 'remote' | 'remotePort' | 'localPort' | 'state' | 'homeQueue' | 'nextSeq' | 'nextAck'> {
  readonly user: FlowUser
}

export interface ConnectionsHooks {
  /** Bytes of the largest packet to an address. */
  mtuTo(remote: Address): number
  /** A connection begins. A flood filter must pass its packets from now on. */
  begun(flow: FlowId): void
  /** Triples (slot, generation, End) of connections that are gone. Every worker must be told. */
  purge(gone: Int32Array): void
}

/**
 * Every connection of a stack, from its first packet to its end. Knows who uses each of them, and tells those concerned
 * when it is gone.
 */
export class Connections {
  readonly flows: FlowTable
  readonly table: TupleTable
  /** Publishes every connection that opens, closes or is refused. */
  readonly witness: Witness
  readonly #egress: Egress
  readonly #hooks: ConnectionsHooks
  /** By slot: called when the flow ends. */
  readonly #ended: FlowUser['ended'][] = []
  /** The triples of the next purge. */
  readonly #gone: number[] = []

  constructor({ flows, index }: StackMemory, witness: Witness, egress: Egress, hooks: ConnectionsHooks) {
    this.flows = flows
    this.table = new TupleTable(flows, index)
    this.witness = witness
    this.#egress = egress
    this.#hooks = hooks
  }

  get size(): number {
    return this.table.size
  }

  /** Takes a slot and makes the connection findable. Throws TABLE_FULL. */
  begin({ user, ...flow }: NewConnection, now: number): FlowId {
    const { consumer, service, token } = user
    const maxDatagram = this.#hooks.mtuTo(flow.remote) - headersLength(flow.remote.family)
    const id = this.table.add({ ...flow, consumer, service, token, maxDatagram }, now)
    this.#ended[id.slot] = user.ended
    this.#hooks.begun(id)
    return id
  }

  /** Replaces the function that is called when the connection ends. */
  rehome(flow: FlowId, ended: (end: End) => void): void {
    if (this.flows.alive(flow)) this.#ended[flow.slot] = (_, end) => ended(end)
  }

  /** Ends a connection at once and for every thread, unless it has ended already. With `tell` the peer gets a RST. */
  end(flow: FlowId, end: End, tell: boolean): void {
    const { slot, generation } = flow
    const { flows } = this
    if (!flows.alive(flow)) return
    const now = native.clock()
    if (tell) this.#egress.reset(slot, now)
    const wasOpen = flows.load(slot, Field.state) === State.established
    const ended = this.#ended[slot]
    this.#ended[slot] = undefined
    ended?.({ slot, generation }, end)
    const tuple = flows.tuple(slot)
    this.table.remove(slot, remoteAddress(tuple), tuple.ports >>> 16, tuple.ports & 0xffff, now)
    if (this.#gone.length === 0) setImmediate(() => this.#purge())
    this.#gone.push(slot, generation, end)
    if (wasOpen) this.witness.closed({ slot, generation }, end)
  }

  /** Ends every connection with RST, and tells the workers without delay. */
  endAll(end: End): void {
    const { flows } = this
    for (let slot = 0; slot < flows.capacity && this.size > 0; slot++) {
      const generation = flows.load(slot, Field.generation)
      if ((generation & 1) === 0 && flows.load(slot, Field.state) !== State.free) {
        this.end({ slot, generation }, end, true)
      }
    }
    this.#purge()
  }

  #purge(): void {
    if (this.#gone.length === 0) return
    this.#hooks.purge(Int32Array.from(this.#gone))
    this.#gone.length = 0
  }
}
