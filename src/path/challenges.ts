import { Field, type FlowId, type FlowTable, State } from '../memory/flow-table.js'
import { challengeMs } from './ack-policy.js'
import type { Egress } from './egress.js'

/**
 * Challenge ACKs (RFC 5961): bare ACKs that show a peer the numbers of the connection, and make it answer. At most one
 * per flow is sent in `challengeMs`.
 *
 * Every RST whose sequence number is not exactly the expected one gets a challenge. Within `challengeMs` of the last
 * one it is sent late, not dropped: a peer that really closed sends its RST only once, and an attacker with forged ones
 * must not be able to use up the limit in its place.
 */
export class Challenges {
  readonly #flows: FlowTable
  readonly #egress: Egress
  readonly #after: (ms: number, act: (now: number) => void) => void
  /** By slot: 1 while a late challenge is to follow. */
  readonly #owed: Uint8Array

  /** `after` calls `act` in `ms` milliseconds, unless the worker stops before. */
  constructor(flows: FlowTable, egress: Egress, after: (ms: number, act: (now: number) => void) => void) {
    this.#flows = flows
    this.#egress = egress
    this.#after = after
    this.#owed = new Uint8Array(flows.capacity)
  }

  /** Sends a challenge now; `back` as for `Egress.ack`. False, and none is sent, when the limit forbids it. */
  send(slot: number, now: number, back: number): boolean {
    if (this.#waitMs(slot, now) > 0) return false
    // 0 would mean that there was none.
    this.#flows.store(slot, Field.lastChallenge, now | 0 || 1)
    this.#egress.ack(slot, now, back)
    return true
  }

  /** Sends a challenge now, or as soon as the limit allows. Keeps `flow` until then, so it must not be a `FlowRef`. */
  sendOrDefer(flow: FlowId, now: number, back: number): void {
    const { slot } = flow
    if (this.send(slot, now, back) || this.#owed[slot] !== 0) return
    this.#owed[slot] = 1
    this.#after(this.#waitMs(slot, now), later => {
      this.#owed[slot] = 0
      const open = this.#flows.alive(flow) && this.#flows.load(slot, Field.state) === State.established
      if (open) this.send(slot, later, back)
    })
  }

  /** Milliseconds until the next challenge may be sent; ≤ 0: now. */
  #waitMs(slot: number, now: number): number {
    const last = this.#flows.load(slot, Field.lastChallenge)
    return last === 0 ? 0 : challengeMs - ((now - last) | 0)
  }
}
