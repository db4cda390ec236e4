import type { Memory } from '../native.js'

/**
 * How many datagrams of `segmentSize` bytes, the last one possibly shorter, have `length` bytes together; at least one.
 */
export const datagramsIn = (length: number, segmentSize: number): number =>
  length <= segmentSize ? 1 : Math.ceil(length / segmentSize)

/**
 * Whether `length` bytes, datagrams of `segmentSize`, may follow `bytes` of datagrams of `size` as one: all must have
 * the same size but the last, which may be shorter. A single datagram counts by its length.
 */
export const mayFollow = (bytes: number, size: number, length: number, segmentSize: number): boolean =>
  bytes % size === 0 && (segmentSize === size || (length <= segmentSize && length <= size))

/**
 * A place in some memory where equal datagrams lie back to back. All have `segmentSize` bytes but the last, which may
 * be shorter.
 */
export interface Place {
  /** Bytes from the start of the memory. */
  readonly at: number
  /** Bytes of all datagrams together. */
  readonly length: number
  /** Bytes per datagram. */
  readonly segmentSize: number
}

/**
 * Equal datagrams back to back, and the memory they lie in. A record that is filled anew for each use: read it before
 * you return.
 */
export class Span implements Place {
  /** `bytes` for the addon. */
  memory: Memory = 0
  bytes: Uint8Array = nothing
  at = 0
  length = 0
  segmentSize = 0

  /** Number of datagrams. */
  get count(): number {
    return datagramsIn(this.length, this.segmentSize)
  }

  /** The same record, filled with all of `bytes`: datagrams of `segmentSize`. */
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
