/**
 * Deliveries on their way from one thread to one other: a single-producer, single-consumer ring of fixed records in
 * shared memory. A full ring refuses the newest record: the producer never waits.
 *
 * Memory: one header, then the records, a power of two of them. Positions count records; they run freely and wrap at
 * 2^32.
 *
 *     header   word 0  head, written by the producer     (own pair of cache lines: 128 bytes, adjacent-line prefetch)
 *              word 32 tail, written by the consumer
 *     record   8 words, of which `Delivery` names five
 */
const Header = { head: 0, tail: 32, bytes: 256 } as const

/** Words of a record. */
export const Delivery = {
  slot: 0,
  generation: 1,
  /** Bytes per datagram; the last one may be shorter. */
  segmentSize: 2,
  /** Where the datagrams lie, back to back: bytes from the start of the lane's blocks. */
  at: 3,
  /** Bytes of all datagrams together. */
  length: 4,
  words: 8,
} as const

export class DeliveryRing {
  /** The records, as `reserve` and `peek` point into them. */
  readonly words: Int32Array
  readonly #control: Int32Array
  readonly #capacity: number
  // Each side keeps its own position and the last one it saw of the other: a shared load only when that runs out.
  #head: number
  #tail: number

  /** Bytes of shared memory for `capacity` records. */
  static bytesFor(capacity: number): number {
    return Header.bytes + capacity * Delivery.words * 4
  }

  /**
   * Attaches to a ring at `byteOffset`, a multiple of 4; fresh zeroed memory is an empty ring. Throws RangeError on a
   * bad capacity.
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

  /** Producer only. First word of a free record, or -1 when the ring is full. Nobody sees it before `commit`. */
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

  /** Consumer only. First word of the oldest record, or -1. It stays as it is until `release`. */
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
