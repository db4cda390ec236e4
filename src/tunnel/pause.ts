/**
 * Exponential backoff between two attempts: each pause is twice as long as the one before, up to a maximum. In
 * milliseconds.
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

  /** The pause before the next attempt. */
  take(): number {
    const pause = this.#next
    this.#next = Math.min(2 * pause, this.#max)
    return pause
  }

  /** Call after a success: the next pause is the first one again. */
  reset(): void {
    this.#next = this.#first
  }
}
