import { HEADER, MAX_FLOWS, SLOTS, sequenceAt, WARMUP } from './datagram.js'

/** What arrived. `seconds` is the time from the first to the last datagram. */
export interface Received {
  datagrams: number
  bytes: number
  seconds: number
  /**
   * Gaps in the sequence numbers that no later datagram filled. What was lost after the last datagram is not counted.
   */
  lost: number
  /** Datagrams that came after a later one of their flow. A duplicate counts too. */
  reordered: number
  /** Datagrams with a wrong header, with less than 8 bytes, or with wrong content in the sample. */
  corrupted: number
  warmups: number
  flows: number
}

/** The header of every datagram is checked, and the whole content of every 64th. */
const SAMPLE_EVERY = 64

/** Counts the datagrams of `datagram.ts`, per flow where order matters. */
export class Tally {
  private readonly next = new Float64Array(MAX_FLOWS)
  private datagrams = 0
  private bytes = 0
  private reordered = 0
  /** Datagrams without a header of ours. */
  private foreign = 0
  /** Datagrams with a header of ours and other content. */
  private damaged = 0
  private warmups = 0
  private first = 0
  private last = 0
  /** Patterns of the size that was sampled last. */
  private pattern = new Uint8Array(0)
  private patternSize = -1

  /** Counts `length` bytes at `at` as datagrams of `segmentSize` bytes. The last one may be shorter. */
  batch(bytes: Uint8Array, view: DataView, at: number, length: number, segmentSize: number): void {
    const end = at + length
    for (let start = at; start < end; start += segmentSize) {
      this.one(bytes, view, start, Math.min(segmentSize, end - start))
    }
    this.last = performance.now()
    if (this.first === 0 && this.datagrams > 0) this.first = this.last
  }

  private one(bytes: Uint8Array, view: DataView, at: number, size: number): void {
    const sequence = size < HEADER ? -1 : sequenceAt(view, at)
    if (sequence === WARMUP) {
      this.warmups++
      return
    }
    this.datagrams++
    this.bytes += size
    if (sequence < 0) {
      this.foreign++
      return
    }
    const flow = view.getUint16(at)
    const next = this.next[flow]
    if (sequence < next) this.reordered++
    else this.next[flow] = sequence + 1
    if (this.datagrams % SAMPLE_EVERY === 0 && !this.matches(bytes, at, size, sequence % SLOTS)) this.damaged++
  }

  private matches(bytes: Uint8Array, at: number, size: number, slot: number): boolean {
    if (size !== this.patternSize) {
      this.patternSize = size
      this.pattern = new Uint8Array(size + SLOTS)
    }
    // One slot at a time: the pattern is computed into the same buffer, then compared in one call.
    const expected = this.pattern
    for (let i = HEADER; i < size; i++) expected[i] = i * 7 + slot * 13 + (i >> 8)
    return Buffer.compare(bytes.subarray(at + HEADER, at + size), expected.subarray(HEADER, size)) === 0
  }

  result(): Received {
    let highest = 0
    let flows = 0
    for (const next of this.next) {
      highest += next
      if (next > 0) flows++
    }
    return {
      datagrams: this.datagrams,
      bytes: this.bytes,
      seconds: (this.last - this.first) / 1000,
      // A foreign datagram fills no gap.
      lost: Math.max(0, highest - (this.datagrams - this.foreign)),
      reordered: this.reordered,
      corrupted: this.foreign + this.damaged,
      warmups: this.warmups,
      flows,
    }
  }
}
