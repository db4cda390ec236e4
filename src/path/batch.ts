import type { Run } from '../memory/run.js'
import type { Memory } from '../native.js'

/**
 * Datagrams of one flow that arrived together, as ranges of one memory. All have `run.segmentSize` bytes but the last, which may be
 * shorter; no piece ends inside a datagram. Reused: valid until the service's `received` returns.
 */
export class Batch implements Iterable<Uint8Array> {
  /** `bytes` for the addon. */
  memory: Memory = 0
  bytes: Uint8Array = new Uint8Array(0)
  /** Pieces: ranges in bytes of the memory. */
  readonly run: Run

  constructor(run: Run) {
    this.run = run
  }

  /** Number of datagrams. */
  get count(): number {
    return this.run.count
  }

  /** Each datagram as a view; copy what must outlive the call. */
  *[Symbol.iterator](): Generator<Uint8Array, void, undefined> {
    const { vec, pieces, segmentSize } = this.run
    for (let piece = 0; piece < pieces; piece++) {
      const end = vec[piece * 2] + vec[piece * 2 + 1]
      for (let at = vec[piece * 2]; at < end; at += segmentSize) {
        yield this.bytes.subarray(at, Math.min(at + segmentSize, end))
      }
    }
  }
}
