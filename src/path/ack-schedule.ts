import { Field, type FlowTable } from '../memory/flow-table.js'
import { delayMs } from './ack-policy.js'
import type { Egress } from './egress.js'

/**
 * Sends the late ACKs: lists the flows that have unacknowledged data, and sends each an ACK `delayMs` after its last
 * one. It costs nothing while no data comes.
 */
export class AckSchedule {
  readonly #flows: FlowTable
  readonly #egress: Egress
  /** By slot: 1 while the slot is in `#slots`. */
  readonly #listed: Uint8Array
  readonly #slots: number[] = []

  constructor(flows: FlowTable, egress: Egress) {
    this.#flows = flows
    this.#egress = egress
    this.#listed = new Uint8Array(flows.capacity)
  }

  /** The flow has received data that is not acknowledged. */
  owes(slot: number): void {
    if (this.#listed[slot] !== 0) return
    this.#listed[slot] = 1
    this.#slots.push(slot)
  }

  /**
   * Call every few hundred milliseconds: sends the ACKs that are due. If a slot has a new connection by now, that
   * connection may send an ACK early, which does no harm.
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
