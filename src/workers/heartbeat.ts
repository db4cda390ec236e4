/** Tells the coordinator's watchdog that this worker still has its turns. */
export class Heartbeat {
  readonly #words: Int32Array
  readonly #at: number
  #pauses = 0

  constructor(words: SharedArrayBuffer, at: number) {
    this.#words = new Int32Array(words)
    this.#at = at
  }

  /** `now` in milliseconds. */
  beat(now: number): void {
    // 0 has a meaning of its own.
    if (this.#pauses === 0) Atomics.store(this.#words, this.#at, now | 0 || 1)
  }

  /** From now on this worker may take its time, until `resume` was called as often. */
  pause(): void {
    this.#pauses++
    Atomics.store(this.#words, this.#at, 0)
  }

  resume(now: number): void {
    this.#pauses--
    this.beat(now)
  }
}
