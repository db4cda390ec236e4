/**
 * A ring of fixed-size records in shared memory, with one producer thread and one consumer thread. When it is full the
 * producer gets no record: it never waits.
 *
 * The memory has a header and then the records, whose number is a power of two. Head and tail count records. They are
 * never reset, and wrap at 2^32.
 *
 *     header   word 0  head, written by the producer     (128 bytes each: a pair of cache lines, because processors
 *              word 32 tail, written by the consumer      prefetch the adjacent line)
 *     record   8 words, of which `Delivery` names five
 */
const Header = { head: 0, tail: 32, bytes: 256 } as const

/** Word offsets within a record. */
export const Delivery = {
  slot: 0,
  generation: 1,
  /** Bytes per datagram; the last one may be shorter. */
  segmentSize: 2,
  /** Where the datagrams lie back to back: byte offset from the start of the lane's blocks. */
  at: 3,
  /** Bytes of all datagrams together. */
  length: 4,
  words: 8,
} as const

/** One thread's end of the ring. */
export class DeliveryRing {
  /** The records. `reserve` and `peek` return indices into this array. */
  readonly words: Int32Array
  readonly #control: Int32Array
  readonly #capacity: number
  // Each side keeps its own position and the last position that it read of the other side. It reads the other's again
  // only when it can go no further.
  #head: number
  #tail: number

  /** Bytes of shared memory that `capacity` records need. */
  static bytesFor(capacity: number): number {
    return Header.bytes + capacity * Delivery.words * 4
  }

  /**
   * Attaches to a ring at `byteOffset`, a multiple of 4. Memory that is all zeros is an empty ring. Throws RangeError
   * when `capacity` is not a power of two from 1 to 2^24.
   */
  constructor(shared: SharedArrayBuffer, byteOffset: number, capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > 2 ** 24 || (capacity & (capacity - 1)) !== 0) {
      throw new RangeError(`the capacity of a ring must be a power of two from 1 to 2^24 records, not ${capacity}`)
    }
    this.#control = new Int32Array(shared, byteOffset, Header.bytes / 4)
    this.words = new Int32Array(shared, byteOffset + Header.bytes, capacity * Delivery.words)
    this.#capacity = capacity
    this.#head = Atomics.load(this.#control, Header.head)
    this.#tail = Atomics.load(this.#control, Header.tail)
  }

  /** Producer only. Index of a free record, or -1 when the ring is full. The consumer sees it only after `commit`. */
  reserve(): number {
    if (((this.#head - this.#tail) | 0) === this.#capacity) {
      this.#tail = Atomics.load(this.#control, Header.tail)
      if (((this.#head - this.#tail) | 0) === this.#capacity) return -1
    }
    return this.#wordOf(this.#head)
  }

  /** Producer only. Publishes the reserved record. */
  commit(): void {
    this.#head = (this.#head + 1) | 0
    Atomics.store(this.#control, Header.head, this.#head)
  }

  /** Consumer only. Index of the oldest record, or -1. The record stays as it is until `release`. */
  peek(): number {
    if (this.#tail === this.#head) {
      this.#head = Atomics.load(this.#control, Header.head)
      if (this.#tail === this.#head) return -1
    }
    return this.#wordOf(this.#tail)
  }

  /** Consumer only. Gives the record that `peek` found back to the producer. */
  release(): void {
    this.#tail = (this.#tail + 1) | 0
    Atomics.store(this.#control, Header.tail, this.#tail)
  }

  #wordOf(position: number): number {
    return (position & (this.#capacity - 1)) * Delivery.words
  }
}
