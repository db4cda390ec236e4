import { native } from '../native.js'
import { type Chunk, type ChunkPool, chunkBytes } from './chunk-pool.js'

/** Datagrams that arrived together: all have `segmentSize` bytes but the last, which may be shorter. */
export interface DatagramBatch {
  /** The datagrams, back to back. Valid until the next step of the iteration. */
  readonly bytes: Uint8Array
  readonly segmentSize: number
  /** Number of datagrams. */
  readonly count: number
}

/** Entries read before the list is cut: rare enough to cost nothing. */
const compactAt = 1024

interface Entry {
  readonly chunk: Chunk
  at: number
  length: number
  readonly segmentSize: number
}

/**
 * What one socket has received and not yet read: bounded in bytes, drop-newest. Equal datagrams that follow each other merge into
 * one batch, so reading gets cheaper the more has piled up.
 */
export class ReceiveQueue {
  readonly #pool: ChunkPool
  readonly #limit: number
  readonly #entries: Entry[] = []
  #first = 0
  #tail: Chunk | undefined
  #bytes = 0
  /** The entry `takeBatch` lent out, and the one `takeDatagram` is walking through. */
  #lent: Entry | undefined
  #copy: Uint8Array | undefined
  #copyAt = 0
  #copySegment = 0

  constructor(pool: ChunkPool, limit: number) {
    this.#pool = pool
    this.#limit = limit
  }

  get empty(): boolean {
    return this.#copy === undefined && this.#first === this.#entries.length
  }

  /** Copies datagrams out of `arena`; false, and nothing kept, when the queue is full. */
  push(arena: number, at: number, length: number, segmentSize: number): boolean {
    if (this.#bytes + length > this.#limit) return false
    let chunk = this.#tail
    if (chunk === undefined || chunk.end + length > chunkBytes) {
      chunk = this.#pool.take()
      this.#tail = chunk
    }
    native.copy(chunk.bytes, chunk.end, arena, at, length)
    const last = this.#first < this.#entries.length ? this.#entries[this.#entries.length - 1] : undefined
    if (
      last !== undefined &&
      last.chunk === chunk &&
      last.length % last.segmentSize === 0 &&
      (segmentSize === last.segmentSize || (length <= segmentSize && length < last.segmentSize))
    ) {
      last.length += length
    } else {
      this.#entries.push({ chunk, at: chunk.end, length, segmentSize })
      chunk.users++
    }
    chunk.end += length
    this.#bytes += length
    return true
  }

  /** Lends the oldest datagrams out as a view; the next call to either `take` ends the loan. */
  takeBatch(): DatagramBatch | undefined {
    this.#endLoan()
    if (this.#copy !== undefined) return this.#restOfCopy()
    const entry = this.#shift()
    if (entry === undefined) return undefined
    this.#lent = entry
    const bytes = entry.chunk.bytes.subarray(entry.at, entry.at + entry.length)
    return { bytes, segmentSize: entry.segmentSize, count: Math.ceil(entry.length / entry.segmentSize) }
  }

  /** One datagram, its bytes never used again by us. Datagrams of a batch share one allocation: copying each costs more. */
  takeDatagram(): Uint8Array | undefined {
    this.#endLoan()
    if (this.#copy === undefined) {
      const entry = this.#shift()
      if (entry === undefined) return undefined
      const copy = entry.chunk.bytes.slice(entry.at, entry.at + entry.length)
      this.#release(entry)
      if (entry.length <= entry.segmentSize) return copy
      this.#copy = copy
      this.#copyAt = 0
      this.#copySegment = entry.segmentSize
    }
    const copy = this.#copy
    const from = this.#copyAt
    this.#copyAt = Math.min(from + this.#copySegment, copy.length)
    if (this.#copyAt === copy.length) this.#copy = undefined
    return copy.subarray(from, this.#copyAt === copy.length ? copy.length : this.#copyAt)
  }

  /** Bytes of the oldest datagram; 0 when there is none. */
  get nextLength(): number {
    if (this.#copy !== undefined) return Math.min(this.#copySegment, this.#copy.length - this.#copyAt)
    const entry = this.#entries[this.#first]
    return entry === undefined ? 0 : Math.min(entry.segmentSize, entry.length)
  }

  /** Copies the oldest datagram to the start of `target`, which must have room for `nextLength` bytes. Allocates nothing. Its length. */
  takeInto(target: Uint8Array): number {
    this.#endLoan()
    const length = this.nextLength
    if (this.#copy !== undefined) {
      native.copy(target, 0, this.#copy, this.#copyAt, length)
      this.#copyAt += length
      if (this.#copyAt === this.#copy.length) this.#copy = undefined
      return length
    }
    const entry = this.#entries[this.#first]
    if (entry === undefined) return 0
    native.copy(target, 0, entry.chunk.bytes, entry.at, length)
    if (length === entry.length) {
      this.#shift()
      this.#release(entry)
    } else {
      entry.at += length
      entry.length -= length
      this.#bytes -= length
    }
    return length
  }

  #restOfCopy(): DatagramBatch {
    const bytes = this.#copy!.subarray(this.#copyAt)
    this.#copy = undefined
    return { bytes, segmentSize: this.#copySegment, count: Math.ceil(bytes.length / this.#copySegment) }
  }

  #shift(): Entry | undefined {
    const entry = this.#entries[this.#first]
    if (entry === undefined) return undefined
    this.#first++
    if (this.#first === this.#entries.length) {
      this.#entries.length = 0
      this.#first = 0
    } else if (this.#first === compactAt) {
      // A reader that is always behind never empties the queue: what was read must go all the same.
      this.#entries.splice(0, compactAt)
      this.#first = 0
    }
    this.#bytes -= entry.length
    return entry
  }

  #endLoan(): void {
    if (this.#lent !== undefined) this.#release(this.#lent)
    this.#lent = undefined
  }

  #release(entry: Entry): void {
    const { chunk } = entry
    if (--chunk.users > 0) return
    if (chunk === this.#tail) this.#tail = undefined
    this.#pool.give(chunk)
  }
}
