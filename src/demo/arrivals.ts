import type { Range } from './protocol.js'

/** Keeps track of which of `count` numbered datagrams have arrived. */
export class Arrivals {
  readonly #has: Uint8Array
  /** Number of datagrams that have arrived. */
  received = 0
  /** The highest number so far, plus 1. */
  next = 0

  constructor(count: number) {
    this.#has = new Uint8Array(count)
  }

  get complete(): boolean {
    return this.received === this.#has.length
  }

  /** Marks a datagram as arrived. False when it had arrived before, or its number is out of range. */
  add(sequence: number): boolean {
    if (sequence >= this.#has.length || this.#has[sequence] !== 0) return false
    this.#has[sequence] = 1
    this.received++
    if (sequence >= this.next) this.next = sequence + 1
    return true
  }

  /** The first `max` ranges of datagrams that have not arrived, in order. */
  missing(max: number): Range[] {
    const ranges: Range[] = []
    if (this.complete) return ranges
    for (let first = this.#has.indexOf(0); first >= 0 && ranges.length < max; ) {
      const end = this.#has.indexOf(1, first)
      ranges.push({ first, count: (end < 0 ? this.#has.length : end) - first })
      first = end < 0 ? -1 : this.#has.indexOf(0, end)
    }
    return ranges
  }
}
