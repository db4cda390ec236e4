import { native } from '../native.js'
import { Delivery, DeliveryRing } from './delivery-ring.js'
import type { FlowId } from './flow-table.js'
import { mayFollow, type Span } from './span.js'

/**
 * The way of datagrams from one queue worker to one consumer thread, without a copy. The worker reads packets from TUN
 * straight into one of the lane's blocks. A delivery, one record in a ring, names the range of a block that holds a
 * flow's datagrams. The consumer gives the range back when it needs it no longer, in any order. A block is used again
 * once all of its deliveries came back.
 *
 *     deliveries   a `DeliveryRing`
 *     issued       one word per block: deliveries made, written by the worker
 *     released     one word per block: deliveries given back, written by the consumer
 *     blocks       each with room for four super-packets
 */

/**
 * Bytes that must be free behind every read: a whole super-packet with its virtio-net header, or the kernel cuts it
 * silently.
 */
export const readRoom = 65_535 + 12
/** Packets are read to multiples of a cache line (`readBatch`). */
const alignedRoom = readRoom + 63

/** Room for four reads. */
const blockBytes = 4 * 65_664
/** A full ring of deliveries drops: room for a block of small packets of different flows. */
const deliveriesPerBlock = 512
/**
 * Datagrams of packets up to this long move up behind those before them, so that a single delivery carries many; longer
 * ones stay where they are.
 */
const mergeBytes = 8_192
/** Packets that a batch of reads may bring. */
const maxMoves = 64
/** A delivery goes off at this size, so that its consumer can begin. */
const deliveryBytes = 65_536
/** While more is about to follow, a consumer that sleeps is woken for this much, or for a quarter of the lane. */
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

/** Bytes of shared memory for a lane with `capacity` bytes of blocks; at least two blocks. */
export const laneBytes = (capacity: number): number => layout(capacity).bytes

/** What both ends see. */
class Lane {
  /** The blocks, as an arena of this thread and as bytes. */
  readonly arena: number
  readonly bytes: Uint8Array
  readonly ring: DeliveryRing
  protected readonly issued: Int32Array
  protected readonly released: Int32Array

  /** Attaches to a lane at `byteOffset`, a multiple of 8; fresh zeroed memory is an empty lane. */
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
  /** Free bytes of the current block: packets are read here, from `at` to `end`. */
  at = 0
  end = 0
  readonly #wake: () => void
  #block = -1
  // The delivery under way, `#length` bytes at `#from`, whose record is `#record`.
  #slot = 0
  #generation = 0
  #segmentSize = 0
  #from = 0
  #length = 0
  #record = 0
  /** Moves within the block that wait for the delivery's end: many in one call. Triples (to, from, length). */
  readonly #vec = new Int32Array(maxMoves * 3)
  readonly #vecArena = native.arenaOpen(new Uint8Array(this.#vec.buffer))
  #moves = 0
  /** Bytes of deliveries that the consumer was not woken for. */
  #made = 0
  readonly #wakeBytes: number

  /** `wake` is called by `settle` when deliveries were made. */
  constructor(shared: SharedArrayBuffer, byteOffset: number, capacity: number, wake: () => void) {
    super(shared, byteOffset, capacity)
    this.#wake = wake
    this.#wakeBytes = Math.min(wakeBytes, this.bytes.length >> 2)
  }

  /**
   * Sees to it that `room` bytes, by default those for a read, are free at `at`. False when the consumer still holds
   * every block.
   */
  makeRoom(room = alignedRoom): boolean {
    this.#moveNow()
    if (this.end - this.at >= room) return true
    this.flush()
    // Always the first one that is free: few blocks in turn stay in the processor's cache.
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
   * Datagrams of a flow as they were read: behind `at` of this lane, where they stay or move down by the next
   * `makeRoom` or `flush`, or in other memory, which they are copied from. False, and nothing kept, when the lane is
   * full.
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

  /** Whether these datagrams may join the delivery under way. */
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
   * Everything that was put goes off, and the consumer is woken; with `more`, which promises another call soon, only
   * once there is much for it: a wake costs the worker several microseconds, and where both share a core two task
   * switches. (Each wake by 1 MiB instead of by 256 KiB: 12 % more datagrams at saturation.)
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

  /** Ends the delivery under way. Until the next `put` nothing in the block moves. */
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
    // `issued` is raised before the record is published. If the worker dies in between, the block is lost until the
    // lane is reclaimed, but no datagram that a consumer still has is overwritten.
    Atomics.store(this.issued, this.#block, this.issued[this.#block] + 1)
    this.ring.commit()
  }
}

/** The consumer's end. */
export class LaneReader extends Lane {
  #lent = 0

  /**
   * Takes the place of a consumer that is gone: what it had, and what waits, is given back. Only while no worker sends
   * here.
   */
  reclaim(): void {
    while (this.ring.peek() >= 0) this.ring.release()
    for (let block = 0; block < this.issued.length; block++) {
      Atomics.store(this.released, block, Atomics.load(this.issued, block))
    }
  }

  /**
   * Asks to keep a delivery for longer than a turn of the event loop. Few may: a block is held by any one of its
   * deliveries.
   */
  lend(): boolean {
    if (this.#lent >= this.issued.length >> 2) return false
    this.#lent++
    return true
  }

  /** Ends one `lend`. */
  unlend(): void {
    this.#lent--
  }

  /** Gives a delivery's range back; `from` lies anywhere in it. */
  release(from: number): void {
    const block = Math.floor(from / blockBytes)
    Atomics.store(this.released, block, this.released[block] + 1)
  }
}
