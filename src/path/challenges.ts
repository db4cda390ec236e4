import { Field, type FlowId, type FlowTable, State } from '../memory/flow-table.js'
import { challengeMs } from './ack-policy.js'
import type { Egress } from './egress.js'

/**
 * Bare ACKs that ask a peer, or tell it, where the connection stands (challenge ACKs, RFC 5961). Every RST with a
 * sequence number outside of the window gets one. Within `challengeMs` of the last one it is sent late, not dropped: a
 * peer that really closed sends its RST only once, and an attacker with forged ones must not be able to use up the
 * limit in its place.
 */
export class Challenges {
  readonly #flows: FlowTable
  readonly #egress: Egress
  readonly #after: (ms: number, act: (now: number) => void) => void
  /** Per slot: 1 while one is to follow. */
  readonly #owed: Uint8Array

  /** `after` calls `act` in `ms` milliseconds, unless its worker has stopped. */
  constructor(flows: FlowTable, egress: Egress, after: (ms: number, act: (now: number) => void) => void) {
    this.#flows = flows
    this.#egress = egress
    this.#after = after
    this.#owed = new Uint8Array(flows.capacity)
  }

  /** `back` as for `Egress.ack`. False when the limit forbids it. */
  send(slot: number, now: number, back: number): boolean {
    if (this.#rest(slot, now) > 0) return false
    this.#flows.store(slot, Field.lastChallenge, now | 0 || 1)
    this.#egress.ack(slot, now, back)
    return true
  }

  /** At once or as soon as the limit lets it. `flow` is kept until then. */
  sendSurely(flow: FlowId, now: number, back: number): void {
    const { slot } = flow
    if (this.send(slot, now, back) || this.#owed[slot] !== 0) return
    this.#owed[slot] = 1
    this.#after(this.#rest(slot, now), later => {
      this.#owed[slot] = 0
      const open = this.#flows.alive(flow) && this.#flows.load(slot, Field.state) === State.established
      if (open) this.send(slot, later, back)
    })
  }

  /** Milliseconds until the next one may go out. */
  #rest(slot: number, now: number): number {
    const last = this.#flows.load(slot, Field.lastChallenge)
    return last === 0 ? 0 : challengeMs - ((now - last) | 0)
  }
}
