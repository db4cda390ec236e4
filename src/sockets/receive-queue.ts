import type { LaneReader } from '../memory/lane.js'
import { datagramsIn, mayFollow, type Place, type Span } from '../memory/span.js'
import { type Memory, native } from '../native.js'
import { type Chunk, type ChunkPool, chunkBytes } from './chunk-pool.js'
import type { Residue } from './transfer-messages.js'

/** Datagrams that `Socket.batches` yields at once. All have `segmentSize` bytes but the last, which may be shorter. */
export interface DatagramBatch {
  /** The datagrams, back to back, often in shared memory. Valid until the next step of the iteration. */
  readonly bytes: Uint8Array
  /** Bytes per datagram. */
  readonly segmentSize: number
  /** Number of datagrams. */
  readonly count: number
}

/** Number of read entries at which they are removed from the list: removing them so rarely costs almost nothing. */
const compactAt = 1024

/** Datagrams back to back, either in a block of `lane` as they arrived, or copied to `chunk`. */
interface Entry extends Place {
  lane: LaneReader | undefined
  chunk: Chunk | undefined
  at: number
  length: number
  readonly segmentSize: number
}

/**
 * The receive queue of one socket: what was received and not yet read. Its bytes are limited, and a full queue drops
 * the newest datagrams.
 *
 * Datagrams stay in their lane until the end of the turn. Then `leaveLane` copies those that the reader has not taken,
 * so that a slow reader does not keep the lane's blocks in use. Equal datagrams in succession are merged into one batch
 * when they are copied, so reading a long queue costs less per datagram.
 */
export class ReceiveQueue {
  readonly #pool: ChunkPool
  readonly #limit: number
  #entries: Entry[] = []
  /** Index of the oldest entry that was not read. */
  #first = 0
  /** The chunk that copies are appended to. */
  #tail: Chunk | undefined
  /** Bytes of all entries. */
  #bytes = 0
  /** Whether an entry may lie in a lane. */
  #inLane = false
  /** The entry that `takeBatch` has lent out. */
  #lent: Entry | undefined
  /** Datagrams of `#copySegment` bytes, of which `takeDatagram` returns the one at `#copyAt` next. */
  #copy: Uint8Array | undefined
  #copyAt = 0
  #copySegment = 0

  /** `limit`: the most bytes that wait here. */
  constructor(pool: ChunkPool, limit: number) {
    this.#pool = pool
    this.#limit = limit
  }

  get empty(): boolean {
    return this.#copy === undefined && this.#first === this.#entries.length
  }

  /**
   * Takes as many datagrams of a delivery as there is room for, without a copy. Returns their bytes. If it takes any,
   * the queue releases the delivery; otherwise the caller has to.
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

  /** Copies everything that still lies in a lane. A batch that `takeBatch` has lent out stays there. */
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

  /** Takes everything. Returns copies. */
  takeAll(): Residue[] {
    const residue: Residue[] = []
    for (;;) {
      const batch = this.takeBatch()
      if (batch === undefined) return residue
      residue.push({ bytes: batch.bytes.slice(), segmentSize: batch.segmentSize })
    }
  }

  /** Puts copies of these datagrams in front of everything else. They may exceed the limit. */
  prepend(residue: readonly Residue[]): void {
    const later = this.#entries.slice(this.#first)
    this.#entries = []
    this.#first = 0
    for (const { bytes, segmentSize } of residue) this.#append(bytes, { at: 0, length: bytes.length, segmentSize })
    for (const { length } of this.#entries) this.#bytes += length
    this.#entries.push(...later)
  }

  /** Lends the oldest datagrams out, as a view. The loan ends at the next call of a `take…` method, or at `endLoan`. */
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

  /** The view that `takeBatch` lent out is not needed any more. */
  endLoan(): void {
    const lent = this.#lent
    if (lent === undefined) return
    this.#lent = undefined
    lent.lane?.unlend()
    this.#release(lent)
  }

  /**
   * Takes the oldest datagram. The caller may keep it. Datagrams that arrived together share one allocation, because
   * copying each of them costs more.
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

  /** Bytes of the oldest datagram. 0: there is none. */
  get nextLength(): number {
    if (this.#copy !== undefined) return Math.min(this.#copySegment, this.#copy.length - this.#copyAt)
    const entry = this.#entries[this.#first]
    return entry === undefined ? 0 : Math.min(entry.segmentSize, entry.length)
  }

  /**
   * Takes the oldest datagram: copies it to the start of `target`, which must have room for `nextLength` bytes. Returns
   * its length. Allocates nothing.
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

  /** Appends copies of datagrams. They must fit a chunk, as those of one delivery always do. */
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

  /** What `takeDatagram` has left of its copy. */
  #restOfCopy(): DatagramBatch {
    const bytes = this.#copy!.subarray(this.#copyAt)
    this.#copy = undefined
    return { bytes, segmentSize: this.#copySegment, count: datagramsIn(bytes.length, this.#copySegment) }
  }

  /** Takes the oldest entry out of the list. */
  #shift(): Entry | undefined {
    const entry = this.#entries[this.#first]
    if (entry === undefined) return undefined
    this.#first++
    if (this.#first === this.#entries.length) {
      this.#entries.length = 0
      this.#first = 0
    } else if (this.#first === compactAt) {
      // The list of a reader that is always behind is never empty, so read entries must be removed here.
      this.#entries.splice(0, compactAt)
      this.#first = 0
    }
    this.#bytes -= entry.length
    return entry
  }

  /** The entry's datagrams are not needed any more. */
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
