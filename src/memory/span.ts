import type { Memory } from '../native.js'

/** Number of datagrams in `length` bytes, if each has `segmentSize` bytes and the last may be shorter. At least 1. */
export const datagramsIn = (length: number, segmentSize: number): number =>
  length <= segmentSize ? 1 : Math.ceil(length / segmentSize)

/**
 * Whether datagrams may be appended to others so that all but the last have one size. The first ones have `bytes` bytes
 * together, and `size` bytes each. The appended ones have `length` bytes together, and `segmentSize` bytes each. A
 * single appended datagram (`length` ≤ `segmentSize`) may be shorter than `size`.
 */
export const mayFollow = (bytes: number, size: number, length: number, segmentSize: number): boolean =>
  bytes % size === 0 && (segmentSize === size || (length <= segmentSize && length <= size))

/**
 * Where equal datagrams lie back to back in some memory. All have `segmentSize` bytes but the last, which may be
 * shorter.
 */
export interface Place {
  /** Byte offset from the start of the memory. */
  readonly at: number
  /** Bytes of all datagrams together. */
  readonly length: number
  /** Bytes per datagram. */
  readonly segmentSize: number
}

/**
 * Equal datagrams back to back, and the memory that they lie in. The owner fills the same record again for each call. A
 * callee copies what it needs before it returns.
 */
export class Span implements Place {
  /** `bytes` as the addon knows it. */
  memory: Memory = 0
  bytes: Uint8Array = nothing
  at = 0
  length = 0
  segmentSize = 0

  /** Number of datagrams. */
  get count(): number {
    return datagramsIn(this.length, this.segmentSize)
  }

  /** Fills the record with all of `bytes`, which are datagrams of `segmentSize` bytes. Returns it. */
  over(bytes: Uint8Array, segmentSize: number): this {
    this.memory = bytes
    this.bytes = bytes
    this.at = 0
    this.length = bytes.length
    this.segmentSize = segmentSize
    return this
  }
}

const nothing = new Uint8Array(0)
