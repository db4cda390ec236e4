import { Field, type FlowTable, State } from '../memory/flow-table.js'
import { native } from '../native.js'

/** Packets a second that the filter drops while a flood lasts; below it the workers do alone. */
const floodRate = 20_000
const tickMs = 1_000

/** As `floodAdmit` wants it, a tuple stands in the flow's slot. */
const tupleFrom = Field.family
const tupleTo = Field.remote + 4
const tupleLength = tupleTo - tupleFrom

const bytesOf = (words: Int32Array): Uint8Array => new Uint8Array(words.buffer)

export interface FloodFilterHooks {
  /** So many were dropped since the last time. */
  dropped(syns: number, others: number): void
  log(text: string): void
}

/**
 * The last resort in a flood: a program in the kernel, in front of the TUN's queues, that keeps from the workers (and from the queues, where
 * other packets need the room) whatever belongs to no connection and no handshake. Workers say when there is a flood; when it has ended the
 * program goes.
 */
export class FloodFilter {
  readonly #queue: number
  readonly #map: number
  readonly #program: number
  readonly #flows: FlowTable
  readonly #hooks: FloodFilterHooks
  readonly #dropped = { syns: 0, others: 0 }
  #timer: NodeJS.Timeout | undefined
  #synsTwice = false

  private constructor(queue: number, map: number, program: number, flows: FlowTable, hooks: FloodFilterHooks) {
    this.#queue = queue
    this.#map = map
    this.#program = program
    this.#flows = flows
    this.#hooks = hooks
  }

  /** For the interface of this queue and the connections of this table. Undefined where that is no TUN, or the kernel takes no programs from us (no CAP_BPF). */
  static open(queue: number, flows: FlowTable, hooks: FloodFilterHooks): FloodFilter | undefined {
    // Detaches a filter that a process left when it died during a flood.
    if (native.tunFilter(queue, -1) < 0) return undefined
    const map = native.floodMapOpen()
    if (map < 0) return undefined
    const program = native.floodFilterOpen(map)
    if (program >= 0) return new FloodFilter(queue, map, program, flows, hooks)
    native.close(map)
    return undefined
  }

  /** More came than is answered; `syns`: of SYNs. */
  flood(syns: boolean): void {
    if (this.#timer === undefined && !this.#begin()) return
    if (syns) this.#takeSynsTwice(true)
  }

  /** A connection begins: in a flood its packets must pass. */
  admit(slot: number): void {
    if (this.#timer !== undefined) native.floodAdmit(this.#map, bytesOf(this.#tuple(slot)))
  }

  close(): void {
    this.#remove()
    native.close(this.#program)
    native.close(this.#map)
  }

  #begin(): boolean {
    if (native.floodBegin(this.#map) < 0) return false
    native.floodAdmit(this.#map, bytesOf(this.#tuples()))
    if (native.tunFilter(this.#queue, this.#program) < 0) return false
    this.#hooks.log('flood: from now on the kernel drops most packets that belong to no connection')
    this.#timer = setInterval(() => this.#tick(), tickMs).unref()
    return true
  }

  #tuple(slot: number): Int32Array {
    const base = this.#flows.base(slot)
    return this.#flows.words.slice(base + tupleFrom, base + tupleTo)
  }

  #tuples(): Int32Array {
    const found = new Int32Array(this.#flows.capacity * tupleLength)
    let end = 0
    for (let slot = 0; slot < this.#flows.capacity; slot++) {
      if (this.#flows.load(slot, Field.state) === State.free) continue
      found.set(this.#tuple(slot), end)
      end += tupleLength
    }
    return found.slice(0, end)
  }

  #takeSynsTwice(on: boolean): void {
    if (on === this.#synsTwice) return
    this.#synsTwice = on
    native.floodSyns(this.#map, on ? 1 : 0)
    if (on) this.#hooks.log('SYN flood: a client’s first SYN is dropped by the kernel, its second is answered')
  }

  #tick(): void {
    const syns = this.#since('syns')
    const others = this.#since('others')
    this.#hooks.dropped(syns, others)
    const most = (floodRate * tickMs) / 1000
    // Also a flood of SYNs that began while the filter was there: the workers see no more of it than they answer.
    this.#takeSynsTwice(syns >= most)
    if (syns + others >= most) return
    this.#remove()
    this.#hooks.log('the flood has ended')
  }

  #since(kind: 'syns' | 'others'): number {
    const total = native.floodDropped(this.#map, kind === 'syns' ? 1 : 0)
    const dropped = Math.max(0, total - this.#dropped[kind])
    this.#dropped[kind] += dropped
    return dropped
  }

  #remove(): void {
    if (this.#timer === undefined) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#synsTwice = false
    native.tunFilter(this.#queue, -1)
  }
}
