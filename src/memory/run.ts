import { native } from '../native.js'

/**
 * Whether `length` bytes, datagrams of `segmentSize`, may follow `bytes` of datagrams of `size` as one: all must have the same size but
 * the last, which may be shorter. A single datagram counts by its length.
 */
export const mayFollow = (bytes: number, size: number, length: number, segmentSize: number): boolean =>
  bytes % size === 0 && (segmentSize === size || (length <= segmentSize && length <= size))

/**
 * A run: datagrams of one flow, gathered in order, that may leave as one super-packet. All have the same size but the last,
 * which may be shorter. Its pieces are ranges of one memory: pairs (byte offset, length) in `vec`.
 */
export class Run {
  readonly vec: Int32Array
  /** `vec` for the addon. */
  readonly vecArena: number
  readonly maxPieces: number
  pieces = 0
  /** Bytes in all pieces. */
  bytes = 0
  /** Bytes per datagram. */
  segmentSize = 0
  #maxBytes = 0

  constructor(maxPieces: number) {
    this.vec = new Int32Array(maxPieces * 2)
    this.vecArena = native.arenaOpen(new Uint8Array(this.vec.buffer))
    this.maxPieces = maxPieces
  }

  /** Empties the run; it will hold at most `maxBytes`. */
  reset(maxBytes: number): void {
    this.pieces = 0
    this.bytes = 0
    this.segmentSize = 0
    this.#maxBytes = maxBytes
  }

  /** Number of datagrams. */
  get count(): number {
    return this.bytes === 0 ? 0 : Math.ceil(this.bytes / this.segmentSize)
  }

  /**
   * Adds `length` bytes at `at`: datagrams of `segmentSize` bytes, the last one possibly shorter. False, and unchanged, when they
   * must start a run of their own.
   */
  add(at: number, length: number, segmentSize: number): boolean {
    if (this.pieces === 0) {
      this.segmentSize = segmentSize
    } else if (
      this.pieces === this.maxPieces ||
      this.bytes + length > this.#maxBytes ||
      !mayFollow(this.bytes, this.segmentSize, length, segmentSize)
    ) {
      return false
    }
    const pair = this.pieces * 2
    this.vec[pair] = at
    this.vec[pair + 1] = length
    this.pieces++
    this.bytes += length
    return true
  }
}
