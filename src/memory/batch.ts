import { type Memory, native } from '../native.js'
import { datagramsIn, mayFollow, type Place } from './span.js'

/**
 * Datagrams of one flow in their order, ready to be sent on as one super-packet. All have `segmentSize` bytes but the
 * last, which may be shorter. They lie in pieces of one memory, and no piece ends inside a datagram. The stack reuses
 * the object: a service may use the batch that it receives until its `received` returns.
 */
export class Batch implements Iterable<Uint8Array> {
  /** @internal `bytes` as the addon knows it. */
  memory: Memory = 0
  /** @internal The memory that the pieces lie in. */
  bytes: Uint8Array = new Uint8Array(0)
  /** @internal Pairs (byte offset, length), one per piece. */
  readonly vec: Int32Array
  /** @internal `vec` as the addon knows it. */
  readonly vecArena: number
  /** @internal Pieces in use. */
  pieces = 0
  /** Bytes of all datagrams together. */
  length = 0
  /** Bytes per datagram. */
  segmentSize = 0
  readonly #maxPieces: number
  #maxLength = 0

  /** @internal `maxPieces`: pieces that it has room for. */
  constructor(maxPieces: number) {
    this.vec = new Int32Array(maxPieces * 2)
    this.vecArena = native.arenaOpen(new Uint8Array(this.vec.buffer))
    this.#maxPieces = maxPieces
  }

  /** @internal The batch is not used any more. */
  close(): void {
    native.arenaClose(this.vecArena)
  }

  /** Number of datagrams. */
  get count(): number {
    return this.pieces === 0 ? 0 : datagramsIn(this.length, this.segmentSize)
  }

  /** @internal Empties the batch. What is added next lies in this memory, and has at most `maxLength` bytes. */
  reset(memory: Memory, bytes: Uint8Array, maxLength: number): void {
    this.memory = memory
    this.bytes = bytes
    this.pieces = 0
    this.length = 0
    this.segmentSize = 0
    this.#maxLength = maxLength
  }

  /** @internal Adds datagrams. If they must start a batch of their own, adds none and returns false. */
  add({ at, length, segmentSize }: Place): boolean {
    if (this.pieces === 0) {
      this.segmentSize = segmentSize
    } else if (
      this.pieces === this.#maxPieces ||
      this.length + length > this.#maxLength ||
      !mayFollow(this.length, this.segmentSize, length, segmentSize)
    ) {
      return false
    }
    const pair = this.pieces * 2
    this.vec[pair] = at
    this.vec[pair + 1] = length
    this.pieces++
    this.length += length
    return true
  }

  /** Yields each datagram as a view. Copy what must outlive the batch. */
  *[Symbol.iterator](): Generator<Uint8Array, void, undefined> {
    const { vec, pieces, segmentSize } = this
    for (let piece = 0; piece < pieces; piece++) {
      const end = vec[piece * 2] + vec[piece * 2 + 1]
      for (let at = vec[piece * 2]; at < end; at += segmentSize) {
        yield this.bytes.subarray(at, Math.min(at + segmentSize, end))
      }
    }
  }
}
