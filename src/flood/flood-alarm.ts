import { TokenBucket } from './token-bucket.js'

/** Packets refused per worker and second that make it a flood. */
const floodRate = 10_000
const tellMs = 1_000

/** Notices that far more packets are refused than anybody sends by mistake. */
export class FloodAlarm {
  readonly #refusals = new TokenBucket(floodRate, floodRate / 10)
  readonly #onFlood: () => void
  #toldAt = Number.NEGATIVE_INFINITY

  /** `onFlood` is called once a second while a flood lasts. */
  constructor(onFlood: () => void) {
    this.#onFlood = onFlood
  }

  /** One packet was refused; `now` in milliseconds. */
  refused(now: number): void {
    if (this.#refusals.take(now) || now - this.#toldAt < tellMs) return
    this.#toldAt = now
    this.#onFlood()
  }
}
