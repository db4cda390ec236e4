import type { Memory } from '../native.js'

/** How many datagrams of `segmentSize` bytes, the last one possibly shorter, have `length` bytes together. */
export const datagramsIn = (length: number, segmentSize: number): number =>
  length <= segmentSize ? 1 : Math.ceil(length / segmentSize)

/**
 * Equal datagrams back to back: `length` bytes at `at` of one memory. All have `segmentSize` bytes but the last, which may be shorter.
 * A mutable record that its owner fills anew for each use; whoever gets one reads it before returning.
 */
export class Span {
  /** `bytes` for the addon. */
  memory: Memory = 0
  bytes: Uint8Array = new Uint8Array(0)
  /** Bytes from the start of the memory. */
  at = 0
  /** Bytes of all datagrams together. */
  length = 0
  /** Bytes per datagram. */
  segmentSize = 0

  get count(): number {
    return datagramsIn(this.length, this.segmentSize)
  }
}
