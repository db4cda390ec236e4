import { alarmBurst, alarmMs, alarmRate } from './limits.js'
import { TokenBucket } from './token-bucket.js'

/** Calls `onFlood` when a worker refuses far more packets than anybody sends by mistake. */
export class FloodAlarm {
  readonly #refusals = new TokenBucket(alarmRate, alarmBurst)
  readonly #onFlood: () => void
  #calledAt = Number.NEGATIVE_INFINITY

  /** `onFlood` is called once a second while a flood lasts. */
  constructor(onFlood: () => void) {
    this.#onFlood = onFlood
  }

  /** Call for each packet that is refused; `now` in milliseconds. */
  refused(now: number): void {
    if (this.#refusals.take(now) || now - this.#calledAt < alarmMs) return
    this.#calledAt = now
    this.#onFlood()
  }
}
