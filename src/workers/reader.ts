import { Counter } from '../memory/counters.js'
import { Field, type FlowId } from '../memory/flow-table.js'
import { type LaneWriter, readRoom } from '../memory/lane.js'
import type { Span } from '../memory/span.js'
import { native } from '../native.js'
import { Inbound, type InboundHooks, type InboundParts } from '../path/inbound.js'
import type { Report } from '../path/messages.js'
import { Packet } from '../path/packet.js'

/** The most packets that are read before the event loop gets a turn. */
const readBudget = 64
/** Bytes of the worker's own memory: a batch of plain packets fits, or several super-packets. */
const ownBytes = 1024 * 1024
/**
 * If fewer bytes than these are free behind the last packet of a batch, the batch may have ended because the next
 * packet had no room. `readBatch` aligns packets to 64 bytes.
 */
const alignedRoom = readRoom + 64

/** What the reader needs from its worker. */
export interface ReaderHooks extends Pick<InboundHooks, 'report' | 'owesAck' | 'after'> {
  /** Gets datagrams of a flow that this worker consumes itself. They stay where they are until `settle` is called. */
  deliver(flow: FlowId, span: Span): void
  /** Called before the memory of the delivered datagrams is used again. */
  settle(): void
  /** A read failed. `result`: -errno. */
  failed(result: number): void
}

/** The worker's own memory, as a range that packets are read into. */
interface ReadMemory {
  readonly arena: number
  readonly bytes: Uint8Array
  readonly at: number
  readonly end: number
}

/**
 * Reads one queue, takes each packet through `Inbound`, and hands the datagrams to their consumer: to the services of
 * this worker, or by a lane to another thread. Packets are read straight into a lane where possible, so that nobody
 * copies them.
 */
export class Reader {
  readonly #queue: number
  readonly #fd: number
  readonly #parts: InboundParts
  readonly #hooks: ReaderHooks
  readonly #inbound: Inbound
  /** Where packets are read when they are expected to stay in this worker, or the lane is full. */
  readonly #own: ReadMemory
  /** By consumer. They are made when they are first needed. There is none to this worker itself. */
  readonly #lanes: (LaneWriter | undefined)[] = []
  /**
   * The lane of the last packet's consumer. The next packets probably have the same consumer, so they are read straight
   * into this lane.
   */
  #last: LaneWriter | undefined
  /** The lane that packets are being read into. Undefined: they are read into the worker's own memory. */
  #reading: LaneWriter | undefined
  readonly #packet = new Packet()
  /** The result of `readBatch`: pairs (offset, length), then the packets' sums. */
  readonly #packets = new Int32Array(readBudget * 3)
  readonly #packetsArena: number
  /**
   * Where in `#packets` the sums are. -1: none are made, since a virtio-net header says whether a checksum is right.
   */
  readonly #sumsAt: number

  constructor(parts: InboundParts, hooks: ReaderHooks) {
    const { device } = parts.memory.shared
    this.#parts = parts
    this.#hooks = hooks
    this.#queue = parts.queue
    this.#fd = device.queues[parts.queue]
    this.#sumsAt = device.virtioSize === 0 ? readBudget * 2 : -1
    this.#packetsArena = native.arenaOpen(new Uint8Array(this.#packets.buffer))
    const bytes = new Uint8Array(ownBytes)
    this.#own = { arena: native.arenaOpen(bytes), bytes, at: 0, end: ownBytes }
    this.#inbound = new Inbound(parts, {
      deliver: (flow, span) => this.#deliver(flow, span),
      report: report => this.#report(report),
      owesAck: hooks.owesAck,
      after: hooks.after,
    })
  }

  /** Reads at most `readBudget` packets. Returns whether there were any. `now` in milliseconds. */
  read(now: number): boolean {
    const any = this.#readMany(now)
    this.#settle()
    return any
  }

  /** As `Inbound.opened`. */
  opened(key: string, flow: FlowId, now: number): void {
    this.#inbound.opened(key, flow, now)
    this.#settle()
  }

  /** As `Inbound.turnedDown`. */
  turnedDown(key: string, reset: boolean): void {
    this.#inbound.turnedDown(key, reset)
  }

  /** Call when nothing is read any more. */
  close(): void {
    this.#inbound.close()
    for (const lane of this.#lanes) lane?.close()
    native.arenaClose(this.#own.arena)
    native.arenaClose(this.#packetsArena)
  }

  #readMany(now: number): boolean {
    for (let left = readBudget; left > 0; ) {
      this.#reading = this.#last?.makeRoom() ? this.#last : undefined
      const { arena, at, end, bytes } = this.#reading ?? this.#own
      const count = native.readBatch(this.#fd, arena, at, end, readRoom, this.#packetsArena, 0, left, this.#sumsAt)
      if (count < 0) {
        this.#hooks.failed(count)
        return true
      }
      const packet = this.#packet
      packet.memory = arena
      packet.bytes = bytes
      this.#take(count, now)
      this.#settle(true)
      const full = end - packet.at - packet.length < alignedRoom
      if (count === 0 || this.#reading === undefined || !full) return count > 0 || left < readBudget
      // The block is full, and the queue may have more packets: go on in another block.
      left -= count
    }
    return true
  }

  /** Handles the packets of one batch, one after the other. */
  #take(count: number, now: number): void {
    const packets = this.#packets
    const sumsAt = this.#sumsAt
    const packet = this.#packet
    for (let i = 0; i < count; i++) {
      packet.at = packets[i * 2]
      packet.length = packets[i * 2 + 1]
      packet.sum = sumsAt < 0 ? -1 : packets[sumsAt + i]
      this.#inbound.packet(packet, now)
    }
  }

  /** Hands on the datagrams of one packet. */
  #deliver(flow: FlowId, span: Span): void {
    const { memory, counters } = this.#parts
    const consumer = memory.flows.load(flow.slot, Field.consumer)
    if (consumer === this.#queue) {
      // The service gets these bytes only at `settle`. Until then no delivery of the lane may be moved onto them.
      this.#reading?.flush()
      this.#hooks.deliver(flow, span)
      this.#last = undefined
      return
    }
    const lane = this.#laneTo(consumer)
    this.#last = lane
    if (lane.put(flow, span)) return
    counters[Counter.consumerRingFull] += span.count
    memory.flows.bump(flow.slot, Field.overflow, span.count)
  }

  /**
   * Delivers everything that was gathered, before its memory is used again. `more`: more packets are read right after
   * this.
   */
  #settle(more = false): void {
    this.#hooks.settle()
    for (const lane of this.#lanes) lane?.settle(more)
  }

  #report(report: Report): void {
    // The coordinator drains the lanes before it ends the connection: the datagrams that came before the RST must be in
    // them.
    if (report.kind === 'reset') for (const lane of this.#lanes) lane?.flush()
    this.#hooks.report(report)
  }

  #laneTo(consumer: number): LaneWriter {
    const known = this.#lanes[consumer]
    if (known !== undefined) return known
    const lane = this.#parts.memory.laneTo(consumer, this.#queue)
    this.#lanes[consumer] = lane
    return lane
  }
}
