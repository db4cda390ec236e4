/**
 * A pause between two tries of the same thing: each one is twice as long as the one before, up to a maximum.
 * Milliseconds.
 */
export class Pause {
  readonly #first: number
  readonly #max: number
  #next: number

  constructor(first: number, max: number) {
    this.#first = first
    this.#max = max
    this.#next = first
  }

  /** How long to wait now. */
  take(): number {
    const pause = this.#next
    this.#next = Math.min(2 * pause, this.#max)
    return pause
  }

  /** It worked: the next pause is the first one again. */
  reset(): void {
    this.#next = this.#first
  }
}
