import type { LaneReader } from '../memory/lane.js'
import { datagramsIn, mayFollow, type Place, type Span } from '../memory/span.js'
import { type Memory, native } from '../native.js'
import { type Chunk, type ChunkPool, chunkBytes } from './chunk-pool.js'
import type { Residue } from './transfer-messages.js'

/** Datagrams that arrived together: all have `segmentSize` bytes but the last, which may be shorter. */
export interface DatagramBatch {
  /** The datagrams, back to back; often in shared memory. Valid until the next step of the iteration. */
  readonly bytes: Uint8Array
  readonly segmentSize: number
  /** Number of datagrams. */
  readonly count: number
}

/** Entries read before the list is cut: rare enough to cost nothing. */
const compactAt = 1024

/** Datagrams back to back: in a lane's block as they arrived, or in a chunk of ours. */
interface Entry extends Place {
  lane: LaneReader | undefined
  chunk: Chunk | undefined
  at: number
  length: number
  readonly segmentSize: number
}

/**
 * What one socket has received and not yet read: bounded in bytes, drop-newest. Datagrams stay in their lane while the
 * reader keeps up; `leaveLane` copies what it left, so that a slow reader never keeps a lane's blocks. Equal datagrams
 * that follow each other merge into one batch then, so reading gets cheaper the more has piled up.
 */
export class ReceiveQueue {
  readonly #pool: ChunkPool
  readonly #limit: number
  #entries: Entry[] = []
  #first = 0
  #tail: Chunk | undefined
  #bytes = 0
  /** Whether entries lie in a lane. */
  #inLane = false
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

  /**
   * Takes datagrams as they lie in `lane`, as many of them as there is room for: bytes taken. None taken: they stay the
   * caller's.
   */
  push(lane: LaneReader, { at, length, segmentSize }: Span): number {
    const room = this.#limit - this.#bytes
    const taken = length <= room ? length : room - (room % segmentSize)
    if (taken === 0) return 0
    this.#entries.push({ lane, chunk: undefined, at, length: taken, segmentSize })
    this.#inLane = true
    this.#bytes += taken
    return taken
  }

  /**
   * Copies what still lies in a lane. A batch that is lent out stays where it is, as far as `LaneReader.lend` allows.
   */
  leaveLane(): void {
    if (!this.#inLane) return
    this.#inLane = false
    const entries = this.#entries.slice(this.#first)
    this.#entries = []
    this.#first = 0
    for (const entry of entries) {
      const { lane } = entry
      if (lane === undefined) {
        this.#entries.push(entry)
        continue
      }
      this.#append(lane.arena, entry)
      lane.release(entry.at)
    }
  }

  /** Everything that is in it, as copies. */
  takeAll(): Residue[] {
    const residue: Residue[] = []
    for (;;) {
      const batch = this.takeBatch()
      if (batch === undefined) return residue
      residue.push({ bytes: batch.bytes.slice(), segmentSize: batch.segmentSize })
    }
  }

  /** Copies of datagrams that come before whatever is in it. */
  prepend(residue: readonly Residue[]): void {
    const later = this.#entries.slice(this.#first)
    this.#entries = []
    this.#first = 0
    for (const { bytes, segmentSize } of residue) this.#append(bytes, { at: 0, length: bytes.length, segmentSize })
    for (const { length } of this.#entries) this.#bytes += length
    this.#entries.push(...later)
  }

  /** Lends the oldest datagrams out as a view; the next call to either `take` ends the loan. */
  takeBatch(): DatagramBatch | undefined {
    this.endLoan()
    if (this.#copy !== undefined) return this.#restOfCopy()
    const entry = this.#shift()
    if (entry === undefined) return undefined
    const { at, length, segmentSize } = entry
    const count = datagramsIn(length, segmentSize)
    if (entry.lane !== undefined && !entry.lane.lend()) {
      const bytes = copyOf(entry)
      this.#release(entry)
      return { bytes, segmentSize, count }
    }
    this.#lent = entry
    return { bytes: bytesOf(entry).subarray(at, at + length), segmentSize, count }
  }

  /** The view that `takeBatch` lent out is needed no longer. */
  endLoan(): void {
    const lent = this.#lent
    if (lent === undefined) return
    this.#lent = undefined
    lent.lane?.unlend()
    this.#release(lent)
  }

  /**
   * One datagram, its bytes never used again by us. Datagrams of a batch share one allocation: copying each costs more.
   */
  takeDatagram(): Uint8Array | undefined {
    this.endLoan()
    if (this.#copy === undefined) {
      const entry = this.#shift()
      if (entry === undefined) return undefined
      const { length, segmentSize } = entry
      const copy = copyOf(entry)
      this.#release(entry)
      if (length <= segmentSize) return copy
      this.#copy = copy
      this.#copyAt = 0
      this.#copySegment = segmentSize
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

  /**
   * Copies the oldest datagram to the start of `target`, which must have room for `nextLength` bytes. Allocates
   * nothing. Its length.
   */
  takeInto(target: Uint8Array): number {
    this.endLoan()
    const length = this.nextLength
    if (this.#copy !== undefined) {
      native.copy(target, 0, this.#copy, this.#copyAt, length)
      this.#copyAt += length
      if (this.#copyAt === this.#copy.length) this.#copy = undefined
      return length
    }
    const entry = this.#entries[this.#first]
    if (entry === undefined) return 0
    native.copy(target, 0, memoryOf(entry), entry.at, length)
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

  /** Copies datagrams of one delivery, which always fits a chunk. */
  #append(memory: Memory, { at, length, segmentSize }: Place): void {
    let chunk = this.#tail
    if (chunk === undefined || chunk.end + length > chunkBytes) {
      chunk = this.#pool.take()
      this.#tail = chunk
    }
    native.copy(chunk.bytes, chunk.end, memory, at, length)
    const last = this.#entries[this.#entries.length - 1]
    if (
      last !== undefined &&
      last.chunk === chunk &&
      last.at + last.length === chunk.end &&
      mayFollow(last.length, last.segmentSize, length, segmentSize)
    ) {
      last.length += length
    } else {
      this.#entries.push({ lane: undefined, chunk, at: chunk.end, length, segmentSize })
      chunk.users++
    }
    chunk.end += length
  }

  #restOfCopy(): DatagramBatch {
    const bytes = this.#copy!.subarray(this.#copyAt)
    this.#copy = undefined
    return { bytes, segmentSize: this.#copySegment, count: datagramsIn(bytes.length, this.#copySegment) }
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

  #release({ lane, chunk, at }: Entry): void {
    if (lane !== undefined) lane.release(at)
    if (chunk === undefined || --chunk.users > 0) return
    if (chunk === this.#tail) this.#tail = undefined
    this.#pool.give(chunk)
  }
}

const bytesOf = ({ lane, chunk }: Entry): Uint8Array => lane?.bytes ?? chunk!.bytes

const memoryOf = ({ lane, chunk }: Entry): Memory => lane?.arena ?? chunk!.bytes

const copyOf = (entry: Entry): Uint8Array => {
  const { at, length } = entry
  const copy = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
  native.copy(copy, 0, memoryOf(entry), at, length)
  return copy
}
