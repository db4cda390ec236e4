import { Field, type FlowTable } from '../memory/flow-table.js'
import { delayMs } from './ack-policy.js'
import type { Egress } from './egress.js'

/**
 * Flows with unacknowledged data: each is sent an ACK `delayMs` after its last one. An idle stack has none and the
 * schedule costs nothing.
 */
export class AckSchedule {
  readonly #flows: FlowTable
  readonly #egress: Egress
  readonly #listed: Uint8Array
  readonly #slots: number[] = []

  constructor(flows: FlowTable, egress: Egress) {
    this.#flows = flows
    this.#egress = egress
    this.#listed = new Uint8Array(flows.capacity)
  }

  owes(slot: number): void {
    if (this.#listed[slot] !== 0) return
    this.#listed[slot] = 1
    this.#slots.push(slot)
  }

  /**
   * Sends what is due; call every few hundred milliseconds. A slot that changed hands meanwhile owes nothing or sends
   * one harmless ACK.
   */
  tick(now: number): void {
    const { words } = this.#flows
    let kept = 0
    for (const slot of this.#slots) {
      const base = this.#flows.base(slot)
      const owes = Atomics.load(words, base + Field.nextAck) !== Atomics.load(words, base + Field.sentAck)
      const due = ((now - Atomics.load(words, base + Field.sentAckAt)) | 0) >= delayMs
      if (owes && !due) {
        this.#slots[kept++] = slot
        continue
      }
      this.#listed[slot] = 0
      if (owes) this.#egress.ack(slot, now)
    }
    this.#slots.length = kept
  }
}
