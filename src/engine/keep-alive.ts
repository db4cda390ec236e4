import { Field, type FlowId, type FlowTable, State } from '../memory/flow-table.js'
import { native } from '../native.js'
import type { ResolvedKeepalive } from './options.js'

export interface KeepAliveHooks {
  /** Sends the `nth` probe in a row. */
  probe(slot: number, nth: number): void
  /** The peer has answered none of the probes. */
  dead(flow: FlowId): void
}

/**
 * Finds peers that are gone. A probe is a bare ACK whose sequence number lies just before what the peer has
 * acknowledged; stock peers and ours answer it at once. Every valid packet of a peer is a sign of life. When this
 * process itself stood still (SIGSTOP, a busy thread), it sends its probes before it gives up a peer.
 */
export class KeepAlive {
  readonly #flows: FlowTable
  readonly #options: ResolvedKeepalive
  readonly #hooks: KeepAliveHooks
  /** Per slot: probes since the peer's last packet, and when the last one was sent. */
  readonly #probes: Uint8Array
  readonly #probedAt: Int32Array

  constructor(flows: FlowTable, options: ResolvedKeepalive, hooks: KeepAliveHooks) {
    this.#flows = flows
    this.#options = options
    this.#hooks = hooks
    this.#probes = new Uint8Array(flows.capacity)
    this.#probedAt = new Int32Array(flows.capacity)
  }

  /** Starts to tick. Answers a function that stops it. `slots`: number of slots that were ever used. */
  start(slots: () => number): () => void {
    const period = Math.min(1_000, this.#options.interval / 4)
    const timer = setInterval(() => this.tick(slots(), native.clock()), period).unref()
    return () => clearInterval(timer)
  }

  /** Checks the first `slots` slots. `now` in milliseconds. */
  tick(slots: number, now: number): void {
    const { interval, probes } = this.#options
    for (let slot = 0; slot < slots; slot++) {
      const silence = (now - this.#flows.load(slot, Field.lastSeen)) | 0
      if (silence < interval || this.#flows.load(slot, Field.state) !== State.established) {
        this.#probes[slot] = 0
        continue
      }
      const sent = this.#probes[slot]
      const waited = (now - this.#probedAt[slot]) | 0
      if (sent > 0 && waited < (sent === probes ? interval / 2 : interval)) continue
      if (sent === probes) {
        this.#hooks.dead({ slot, generation: this.#flows.load(slot, Field.generation) })
      } else {
        this.#probes[slot] = sent + 1
        this.#probedAt[slot] = now | 0
        this.#hooks.probe(slot, sent + 1)
      }
    }
  }
}
