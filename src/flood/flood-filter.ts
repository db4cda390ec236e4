import { Field, type FlowTable, State } from '../memory/flow-table.js'
import { native } from '../native.js'
import { filterLimits, filterLookMs, filterOffRate, synsTwiceOffRate } from './limits.js'

/** Words of a flow's slot that hold its tuple. They are in the order that `floodAdmit` takes. */
const tupleFrom = Field.family
const tupleTo = Field.remote + 4
const tupleLength = tupleTo - tupleFrom

const bytesOf = (words: Int32Array): Uint8Array => new Uint8Array(words.buffer)

export interface FloodFilterHooks {
  /** The filter has dropped so many packets since the last call. */
  dropped(syns: number, others: number): void
  /** The program is in place. */
  begun(): void
  /** A client's first SYN is dropped from now on, and its second one answered. */
  synsTwice(): void
  /** The program is gone. */
  ended(): void
}

/**
 * The last resort in a flood: an eBPF program in front of the TUN's queues. It drops most packets that belong to no
 * connection and no handshake, so that they neither fill the queues nor keep the workers busy. The workers tell when a
 * flood begins (`flood`). The program is detached when it drops few packets any more.
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

  /**
   * A filter for the interface of this queue and the connections of this table. Undefined when the queue is no TUN's,
   * or when the kernel takes no programs from this process (no CAP_BPF).
   */
  static open(queue: number, flows: FlowTable, hooks: FloodFilterHooks): FloodFilter | undefined {
    // Detaches a filter that a process left when it died during a flood.
    if (native.tunFilter(queue, -1) < 0) return undefined
    const map = native.floodMapOpen()
    if (map < 0) return undefined
    const { spanBits, handshakes, others, retryBits } = filterLimits
    const program = native.floodFilterOpen(map, spanBits, handshakes, others, retryBits)
    if (program >= 0) return new FloodFilter(queue, map, program, flows, hooks)
    native.close(map)
    return undefined
  }

  /**
   * Call when a worker refuses too many packets. `syns`: they are SYNs. False when the kernel does not take the
   * program.
   */
  flood(syns: boolean): boolean {
    if (this.#timer === undefined && !this.#begin()) return false
    if (syns) this.#takeSynsTwice(true)
    return true
  }

  /** Call when a connection begins, so that the filter passes its packets. `slot`: the flow's. */
  admit(slot: number): void {
    // If the map is full, the filter takes the connection's packets for strangers', of which it passes some.
    if (this.#timer !== undefined) void native.floodAdmit(this.#map, bytesOf(this.#tuple(slot)))
  }

  close(): void {
    this.#remove()
    native.close(this.#program)
    native.close(this.#map)
  }

  #begin(): boolean {
    if (native.floodBegin(this.#map) < 0) return false
    if (native.floodAdmit(this.#map, bytesOf(this.#tuples())) < 0) return false
    if (native.tunFilter(this.#queue, this.#program) < 0) return false
    this.#hooks.begun()
    this.#timer = setInterval(() => this.#tick(), filterLookMs).unref()
    return true
  }

  #tuple(slot: number): Int32Array {
    const base = this.#flows.base(slot)
    return this.#flows.words.slice(base + tupleFrom, base + tupleTo)
  }

  /** The tuples of all flows, one after another. */
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

  /** Whether the filter drops the first SYN of every tuple. */
  #takeSynsTwice(on: boolean): void {
    if (on === this.#synsTwice) return
    this.#synsTwice = on
    // Refused: the filter goes on as it was.
    void native.floodSyns(this.#map, on ? 1 : 0)
    if (on) this.#hooks.synsTwice()
  }

  #tick(): void {
    const syns = this.#since('syns')
    const others = this.#since('others')
    this.#hooks.dropped(syns, others)
    const perLook = (rate: number): number => (rate * filterLookMs) / 1000
    // A flood of SYNs may begin while the filter is there. Then no worker reports it: the filter passes no more SYNs
    // than they answer.
    this.#takeSynsTwice(syns >= perLook(synsTwiceOffRate))
    if (syns + others >= perLook(filterOffRate)) return
    this.#remove()
    this.#hooks.ended()
  }

  /** Packets dropped since the last call. */
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
    // The queue may be gone, and its filter with it.
    void native.tunFilter(this.#queue, -1)
  }
}
