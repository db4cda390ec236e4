import { Field, type FlowId } from '../memory/flow-table.js'
import type { StackMemory } from '../memory/shared-stack.js'
import { native } from '../native.js'
import { type Address, fromWords, remoteAddress } from '../net/address.js'
import { closeReasons, type End } from '../path/messages.js'
import { type ConnectionEnds, type ConnectionRefused, type Direction, diagnostics } from './diagnostics.js'

/** The tuple of a connection, or of one that did not come about, from the stack's side. */
export interface Asked {
  readonly remote: Address
  readonly remotePort: number
  readonly localPort: number
}

/**
 * Publishes on the diagnostics channels what becomes of a stack's connections. Works for a freed slot too, which keeps
 * its fields until it is used again. Callers call it last, since a listener may do anything.
 */
export class Witness {
  readonly #device: string
  readonly #memory: StackMemory

  constructor(device: string, memory: StackMemory) {
    this.#device = device
    this.#memory = memory
  }

  opened({ slot }: FlowId, direction: Direction): void {
    if (!diagnostics.opened.wanted) return
    const { flows } = this.#memory
    const maxDatagram = flows.load(slot, Field.maxDatagram)
    const service = flows.load(slot, Field.service) >= 0
    diagnostics.opened.publish({ ...this.ends(slot), direction, maxDatagram, service })
  }

  closed({ slot }: FlowId, end: End): void {
    if (!diagnostics.closed.wanted) return
    const { flows } = this.#memory
    diagnostics.closed.publish({
      ...this.ends(slot),
      reason: closeReasons[end],
      datagramsIn: flows.count(slot, Field.datagramsIn),
      bytesIn: flows.count(slot, Field.bytesIn),
      datagramsOut: flows.count(slot, Field.datagramsOut),
      bytesOut: flows.count(slot, Field.bytesOut),
    })
  }

  refused(asked: Asked, direction: Direction, reason: ConnectionRefused['reason']): void {
    if (!diagnostics.refused.wanted) return
    diagnostics.refused.publish({ ...this.#endsOf(asked), direction, reason })
  }

  pathMtuLowered({ slot }: FlowId, maxDatagram: number): void {
    if (diagnostics.pathMtuLowered.wanted) diagnostics.pathMtuLowered.publish({ ...this.ends(slot), maxDatagram })
  }

  peerDead({ slot }: FlowId): void {
    if (!diagnostics.peerDead.wanted) return
    const silence = (native.clock() - this.#memory.flows.load(slot, Field.lastSeen)) | 0
    diagnostics.peerDead.publish({ ...this.ends(slot), silence })
  }

  ends(slot: number): ConnectionEnds {
    const tuple = this.#memory.flows.tuple(slot)
    const { ports } = tuple
    return this.#endsOf({ remote: remoteAddress(tuple), remotePort: ports >>> 16, localPort: ports & 0xffff })
  }

  #endsOf({ remote, remotePort, localPort }: Asked): ConnectionEnds {
    const { address4, address6 } = this.#memory.shared
    const localAddress = fromWords(remote.family, remote.family === 4 ? address4 : address6).text
    return { device: this.#device, localAddress, localPort, remoteAddress: remote.text, remotePort }
  }
}
