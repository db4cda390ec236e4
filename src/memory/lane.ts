import { native } from '../native.js'
import { Delivery, DeliveryRing } from './delivery-ring.js'
import type { FlowId } from './flow-table.js'
import { mayFollow, type Span } from './span.js'

/**
 * Memory that carries datagrams from one queue worker to one consumer thread without a copy.
 *
 * The worker reads packets from TUN straight into one of the lane's blocks. For the datagrams of a flow it then makes a
 * *delivery*: a record in a ring, which names their range of the block. When the consumer no longer needs the range it
 * releases the delivery. It may release deliveries in any order. The worker uses a block again once all of its
 * deliveries are released.
 *
 *     deliveries   a `DeliveryRing`
 *     issued       one word per block: deliveries made, written by the worker
 *     released     one word per block: deliveries released, written by the consumer
 *     blocks       each with room for four super-packets
 */

/**
 * Bytes that must be free for every read: those of the largest super-packet with its virtio-net header. The kernel cuts
 * a packet that does not fit, and reports no error.
 */
export const readRoom = 65_535 + 12
/** The same when a packet may have to begin up to 63 bytes further on: `readBatch` aligns each to a cache line. */
const alignedRoom = readRoom + 63

/** Bytes of a block: four reads of 65,547 bytes, each aligned. */
const blockBytes = 4 * 65_664
/**
 * Records in the ring for each block. When the ring is full the worker drops datagrams, although blocks may be free.
 * This many suffice for a block of packets of 512 bytes, each of another flow.
 */
const deliveriesPerBlock = 512
/**
 * Payloads up to this long are moved to the end of the previous payload of their flow, so that one delivery carries
 * many. A longer one stays where it was read, in a delivery of its own.
 */
const mergeBytes = 8_192
/** Moves that wait for one call of the addon: as many as a batch of reads brings packets. */
const maxMoves = 64
/** The most bytes of a merged delivery, so that its consumer can begin. */
const deliveryBytes = 65_536
/**
 * While the worker goes on reading, it wakes the consumer only once it has delivered this many bytes, or a quarter of a
 * smaller lane.
 */
const wakeBytes = 1024 * 1024

const align = (bytes: number): number => Math.ceil(bytes / 128) * 128

const layout = (capacity: number) => {
  const blocks = Math.max(2, Math.floor(capacity / blockBytes))
  const deliveries = 2 ** Math.ceil(Math.log2(blocks * deliveriesPerBlock))
  const issued = align(DeliveryRing.bytesFor(deliveries))
  const released = issued + align(blocks * 4)
  const packets = released + align(blocks * 4)
  return { blocks, deliveries, issued, released, packets, bytes: packets + align(blocks * blockBytes) }
}

/** Bytes of shared memory for a lane with `capacity` bytes of blocks. It has at least two blocks. */
export const laneBytes = (capacity: number): number => layout(capacity).bytes

/** The parts of a lane that both ends use. */
class Lane {
  /** All blocks, as an arena of this thread and as bytes. */
  readonly arena: number
  readonly bytes: Uint8Array
  readonly ring: DeliveryRing
  protected readonly issued: Int32Array
  protected readonly released: Int32Array

  /** Attaches to a lane at `byteOffset`, a multiple of 8. Memory that is all zeros is an empty lane. */
  constructor(shared: SharedArrayBuffer, byteOffset: number, capacity: number) {
    const { blocks, deliveries, issued, released, packets } = layout(capacity)
    this.ring = new DeliveryRing(shared, byteOffset, deliveries)
    this.issued = new Int32Array(shared, byteOffset + issued, blocks)
    this.released = new Int32Array(shared, byteOffset + released, blocks)
    this.bytes = new Uint8Array(shared, byteOffset + packets, blocks * blockBytes)
    this.arena = native.arenaOpen(this.bytes)
  }

  close(): void {
    native.arenaClose(this.arena)
  }
}

/** The worker's end. */
export class LaneWriter extends Lane {
  /** The free bytes of the current block, from `at` to `end`: the worker reads packets there. */
  at = 0
  end = 0
  readonly #wake: () => void
  #block = -1
  // The delivery that is being gathered: `#length` bytes at `#from`, to be published in the record `#record`. There is
  // none while `#length` is 0.
  #slot = 0
  #generation = 0
  #segmentSize = 0
  #from = 0
  #length = 0
  #record = 0
  /** Moves within the block, collected so that one call does many: triples (to, from, length). */
  readonly #vec = new Int32Array(maxMoves * 3)
  readonly #vecArena = native.arenaOpen(new Uint8Array(this.#vec.buffer))
  #moves = 0
  /** Bytes delivered since the consumer was last woken. */
  #made = 0
  readonly #wakeBytes: number

  /** `settle` calls `wake` when deliveries wait for the consumer. */
  constructor(shared: SharedArrayBuffer, byteOffset: number, capacity: number, wake: () => void) {
    super(shared, byteOffset, capacity)
    this.#wake = wake
    this.#wakeBytes = Math.min(wakeBytes, this.bytes.length >> 2)
  }

  /**
   * Makes sure that `room` bytes are free at `at`, by default enough for a read. False when the consumer has not yet
   * released any other block.
   */
  makeRoom(room = alignedRoom): boolean {
    this.#moveNow()
    if (this.end - this.at >= room) return true
    this.flush()
    // Always the first free block: so few blocks are in use, and they stay in the processor's cache.
    const { issued, released } = this
    for (let block = 0; block < issued.length; block++) {
      if (Atomics.load(released, block) !== issued[block]) continue
      this.#block = block
      this.at = block * blockBytes
      this.end = this.at + blockBytes
      return true
    }
    return false
  }

  /**
   * Takes datagrams of a flow. If they lie in this lane, at or behind `at`, they stay there, or the next `makeRoom` or
   * `flush` moves them down. If they lie in other memory they are copied from it. False when the lane is full, and then
   * it takes none of them.
   */
  put(flow: FlowId, span: Span): boolean {
    const { length } = span
    const here = span.memory === this.arena
    if (this.#continues(flow, span) && (here || this.end - this.at >= length)) {
      if (here) this.#moveLater(this.at, span.at, length)
      else this.#copyHere(span)
      this.#length += length
      this.at += length
      return true
    }
    this.flush()
    if (!here && !this.makeRoom(length)) return false
    const record = this.ring.reserve()
    if (record < 0) return false
    if (!here) this.#copyHere(span)
    this.#record = record
    this.#slot = flow.slot
    this.#generation = flow.generation
    this.#segmentSize = span.segmentSize
    this.#from = here ? span.at : this.at
    this.#length = length
    this.at = this.#from + length
    return true
  }

  /** Whether these datagrams may join the delivery that is being gathered. */
  #continues({ slot, generation }: FlowId, { length, segmentSize }: Span): boolean {
    return (
      this.#length !== 0 &&
      length <= mergeBytes &&
      slot === this.#slot &&
      generation === this.#generation &&
      this.#length + length <= deliveryBytes &&
      mayFollow(this.#length, this.#segmentSize, length, segmentSize)
    )
  }

  /**
   * Publishes what was put, and wakes the consumer. With `more` the caller promises another call soon; then the
   * consumer is woken only once it has enough to do. Waking it costs the worker several microseconds, and two task
   * switches when both run on one core. (Measured: waking once per 1 MiB instead of per 256 KiB gave 12 % more
   * datagrams at saturation.)
   */
  settle(more = false): void {
    this.flush()
    if (this.#made === 0 || (more && this.#made < this.#wakeBytes)) return
    this.#made = 0
    this.#wake()
  }

  #copyHere({ memory, at, length }: Span): void {
    this.#moveNow()
    native.copy(this.arena, this.at, memory, at, length)
  }

  #moveLater(to: number, from: number, length: number): void {
    if (this.#moves === maxMoves) this.#moveNow()
    const move = this.#moves++ * 3
    this.#vec[move] = to
    this.#vec[move + 1] = from
    this.#vec[move + 2] = length
  }

  #moveNow(): void {
    if (this.#moves === 0) return
    native.moveBatch(this.arena, this.#vecArena, 0, this.#moves)
    this.#moves = 0
  }

  /** Publishes the delivery that is being gathered. Until the next `put` nothing in the block moves. */
  flush(): void {
    if (this.#length === 0) return
    this.#moveNow()
    const { words } = this.ring
    const record = this.#record
    words[record + Delivery.slot] = this.#slot
    words[record + Delivery.generation] = this.#generation
    words[record + Delivery.segmentSize] = this.#segmentSize
    words[record + Delivery.at] = this.#from
    words[record + Delivery.length] = this.#length
    this.#made += this.#length
    this.#length = 0
    // Count first, then publish. If the worker dies in between, the block stays unused until the lane is reclaimed. The
    // other way round, a datagram that the consumer still reads could be overwritten.
    Atomics.store(this.issued, this.#block, this.issued[this.#block] + 1)
    this.ring.commit()
  }
}

/** The consumer's end. */
export class LaneReader extends Lane {
  #lent = 0

  /**
   * Empties the lane: releases every delivery, those that the previous consumer thread still had included. Call when
   * this thread takes its number over, while no worker sends here.
   */
  reclaim(): void {
    while (this.ring.peek() >= 0) this.ring.release()
    for (let block = 0; block < this.issued.length; block++) {
      Atomics.store(this.released, block, Atomics.load(this.issued, block))
    }
  }

  /**
   * Asks to keep a delivery for longer than a turn of the event loop. A single delivery keeps its whole block in use,
   * so at most a quarter as many as there are blocks may be kept. False when that many are.
   */
  lend(): boolean {
    if (this.#lent >= this.issued.length >> 2) return false
    this.#lent++
    return true
  }

  /** Ends one successful `lend`. Does not release the delivery. */
  unlend(): void {
    this.#lent--
  }

  /** Releases a delivery. `from`: any offset within its range. */
  release(from: number): void {
    const block = Math.floor(from / blockBytes)
    Atomics.store(this.released, block, this.released[block] + 1)
  }
}
