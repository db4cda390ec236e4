/** Allows `rate` events a second, and at most `burst` at once. */
export class TokenBucket {
  readonly #rate: number
  readonly #burst: number
  #tokens: number
  #at = 0

  constructor(rate: number, burst = rate) {
    this.#rate = rate
    this.#burst = burst
    this.#tokens = burst
  }

  /** Takes one token, and tells whether there was one. `now` in milliseconds. */
  take(now: number): boolean {
    if (now > this.#at) {
      this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) * this.#rate) / 1000)
      this.#at = now
    }
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  /** Undoes one successful `take`. */
  giveBack(): void {
    this.#tokens += 1
  }
}
