/**
 * Packets in flight from one thread to one other: a single-producer, single-consumer ring of length-prefixed records in
 * shared memory. Records are contiguous, so a reader can hand out a view; a record that would cross the end starts over at
 * the beginning. A full ring drops the newest record and counts it: the producer never waits.
 *
 * Memory: one header, then `capacity` bytes (a power of two). Positions run freely and wrap at 2^32.
 *
 *     header   word 0  head, written by the producer     (own cache-line pair: 128 bytes, adjacent-line prefetch)
 *              word 1  records dropped, written by the producer
 *              word 32 tail, written by the consumer
 *     record   u32 length · u32 unused · length bytes · padding to 8
 */
const Header = { head: 0, dropped: 1, tail: 32, bytes: 256 } as const
const recordHeader = 8
/** Length word of the filler that sends the reader back to the start. */
const wrapMark = 0xffffffff | 0

const padded = (bytes: number): number => recordHeader + ((bytes + 7) & ~7)

export class PacketRing {
  /** The record area: offsets from `reserve` and `peek` point into it (multiples of 8). */
  readonly bytes: Uint8Array
  /** The same memory as 32-bit words. */
  readonly words: Int32Array
  /** Largest record that always fits an empty ring, in bytes. */
  readonly maxRecord: number
  /** Consumer only. Bytes of the record `peek` found. */
  length = 0

  readonly #control: Int32Array
  readonly #capacity: number
  readonly #mask: number
  // Each side keeps its own position and the last one it saw of the other: a shared load only when that runs out.
  #head: number
  #tail: number
  #pending = 0
  #pendingAt = 0

  /** Bytes of shared memory for a ring of `capacity` bytes. */
  static bytesFor(capacity: number): number {
    return Header.bytes + capacity
  }

  /** Attaches to a ring at `byteOffset` (a multiple of 8); fresh zeroed memory is an empty ring. Throws RangeError on a bad capacity. */
  constructor(shared: SharedArrayBuffer, byteOffset: number, capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 64 || capacity > 2 ** 30 || (capacity & (capacity - 1)) !== 0) {
      throw new RangeError(`ring capacity must be a power of two from 64 bytes to 1 GiB, not ${capacity}`)
    }
    this.#control = new Int32Array(shared, byteOffset, Header.bytes / 4)
    this.words = new Int32Array(shared, byteOffset + Header.bytes, capacity / 4)
    this.bytes = new Uint8Array(shared, byteOffset + Header.bytes, capacity)
    this.#capacity = capacity
    this.#mask = capacity - 1
    this.maxRecord = capacity / 2 - recordHeader
    this.#head = Atomics.load(this.#control, Header.head)
    this.#tail = Atomics.load(this.#control, Header.tail)
  }

  /** Producer only. Offset of `length` contiguous free bytes, or -1 with one drop counted. Owned until `commit`. */
  reserve(length: number): number {
    const need = padded(length)
    let at = this.#head & this.#mask
    const toEnd = this.#capacity - at
    const whole = need > toEnd ? toEnd + need : need
    if (whole > this.#capacity - ((this.#head - this.#tail) | 0)) {
      this.#tail = Atomics.load(this.#control, Header.tail)
      if (length > this.maxRecord || whole > this.#capacity - ((this.#head - this.#tail) | 0)) {
        Atomics.add(this.#control, Header.dropped, 1)
        return -1
      }
    }
    if (whole !== need) {
      this.words[at >> 2] = wrapMark
      at = 0
    }
    this.words[at >> 2] = length
    this.#pendingAt = at
    this.#pending = whole
    return at + recordHeader
  }

  /** Producer only. Publishes the reserved record; `length` may be less than was reserved. */
  commit(length?: number): void {
    if (length !== undefined) {
      this.#pending += padded(length) - padded(this.words[this.#pendingAt >> 2])
      this.words[this.#pendingAt >> 2] = length
    }
    this.#head = (this.#head + this.#pending) | 0
    this.#pending = 0
    Atomics.store(this.#control, Header.head, this.#head)
  }

  /** Consumer only. Offset of the oldest record, or -1; its size is in `length`. Owned until `release`. */
  peek(): number {
    if (this.#tail === this.#head) {
      this.#head = Atomics.load(this.#control, Header.head)
      if (this.#tail === this.#head) return -1
    }
    let at = this.#tail & this.#mask
    if (this.words[at >> 2] === wrapMark) {
      this.#tail = (this.#tail + this.#capacity - at) | 0
      at = 0
    }
    this.length = this.words[at >> 2]
    return at + recordHeader
  }

  /** Consumer only. Gives the record that `peek` found back to the producer. */
  release(): void {
    this.#tail = (this.#tail + padded(this.length)) | 0
    Atomics.store(this.#control, Header.tail, this.#tail)
  }

  /** Records refused because the ring was full, wrapping at 2^32. Any thread. */
  get dropped(): number {
    return Atomics.load(this.#control, Header.dropped) >>> 0
  }
}
