import { Counter } from '../memory/counters.js'
import { Field, type FlowId } from '../memory/flow-table.js'
import { type LaneWriter, readRoom } from '../memory/lane.js'
import type { Span } from '../memory/span.js'
import { native } from '../native.js'
import { Inbound, type InboundHooks, type InboundParts } from '../path/inbound.js'
import type { Report } from '../path/messages.js'
import { Packet } from '../path/packet.js'

/** Packets read in one wake before the event loop gets its turn. */
const readBudget = 64
/** Bytes of the worker's own memory: room for a batch of plain packets, or for several super-packets. */
const ownBytes = 1024 * 1024
/**
 * Less room than this behind the last packet of a batch, and the batch may have ended for want of it (`readBatch`
 * aligns to 64 bytes).
 */
const alignedRoom = readRoom + 64

export interface ReaderHooks extends Pick<InboundHooks, 'report' | 'owesAck' | 'after'> {
  /** Takes datagrams of a flow that this worker consumes itself. They stay where they are until `settle`. */
  deliver(flow: FlowId, span: Span): void
  /** The memory of what was delivered is about to be used again. */
  settle(): void
  /** The device refused a read: -errno. */
  failed(result: number): void
}

/** Memory that packets are read into. */
interface ReadMemory {
  readonly arena: number
  readonly bytes: Uint8Array
  readonly at: number
  readonly end: number
}

/**
 * Reads one queue, takes its packets through `Inbound`, and hands what they carry to whoever consumes it: to the
 * worker's own services, or by a lane to another thread. A lane's packets are read straight into it, so that nobody
 * copies them.
 */
export class Reader {
  readonly #queue: number
  readonly #fd: number
  readonly #parts: InboundParts
  readonly #hooks: ReaderHooks
  readonly #inbound: Inbound
  /** For what stays in this worker, and for what nobody knows yet. */
  readonly #own: ReadMemory
  /** By consumer, as they are needed; none to ourselves. */
  readonly #lanes: (LaneWriter | undefined)[] = []
  /**
   * Lane of the last packet's consumer. The next packets probably have the same one, so they are read straight into
   * this lane.
   */
  #last: LaneWriter | undefined
  /** The lane that packets are being read into; none: our own memory. */
  #reading: LaneWriter | undefined
  readonly #packet = new Packet()
  /** Pairs (offset, length), then the packets' sums. */
  readonly #packets = new Int32Array(readBudget * 3)
  readonly #packetsArena: number
  /** Where `readBatch` puts the sums; -1: nobody has to sum, since the virtio-net header tells. */
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

  /** Reads what the queue has, at most `readBudget` packets; whether there was anything. `now` in milliseconds. */
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

  /** Nothing is read any more. */
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
      // Stopped by the end of a block, not of the queue: there is more.
      left -= count
    }
    return true
  }

  /** The packets of one batch, one after the other. */
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

  #deliver(flow: FlowId, span: Span): void {
    const { memory, counters } = this.#parts
    const consumer = memory.flows.load(flow.slot, Field.consumer)
    if (consumer === this.#queue) {
      // The service looks at these bytes only later: nothing may move over them.
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
   * What was gathered goes off: the memory that it lies in is about to be used again. `more`: the next packets are read
   * at once.
   */
  #settle(more = false): void {
    this.#hooks.settle()
    for (const lane of this.#lanes) lane?.settle(more)
  }

  #report(report: Report): void {
    // Datagrams that came before the RST must be there when the coordinator looks for them.
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
