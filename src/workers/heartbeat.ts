/**
 * Tells the coordinator's watchdog that this worker is not stuck: writes the time of its last turn to a word of shared
 * memory.
 */
export class Heartbeat {
  readonly #words: Int32Array
  readonly #at: number
  #pauses = 0

  /** `at`: index of this worker's word, which is its queue. */
  constructor(words: SharedArrayBuffer, at: number) {
    this.#words = new Int32Array(words)
    this.#at = at
  }

  /** A turn begins. `now` in milliseconds. */
  beat(now: number): void {
    // 0 would tell the watchdog not to watch.
    if (this.#pauses === 0) Atomics.store(this.#words, this.#at, now | 0 || 1)
  }

  /** The watchdog does not watch this worker until `resume` was called as often as `pause`. */
  pause(): void {
    this.#pauses++
    Atomics.store(this.#words, this.#at, 0)
  }

  resume(now: number): void {
    this.#pauses--
    this.beat(now)
  }
}
