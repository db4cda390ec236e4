import { Delivery } from '../memory/delivery-ring.js'
import type { Doorbell } from '../memory/doorbell.js'
import { type FlowId, FlowRef } from '../memory/flow-table.js'
import type { LaneReader } from '../memory/lane.js'
import { Span } from '../memory/span.js'
import { native } from '../native.js'

/**
 * Takes one delivery: datagrams of a flow in a block of `lane`, which are its own until it calls
 * `lane.release(span.at)`.
 */
export type Deliver = (lane: LaneReader, flow: FlowId, span: Span) => void

/**
 * Bytes taken from each lane in one wake: they must fit a socket's queue, since its reader gets a turn only afterwards.
 */
const wakeBudget = 1024 * 1024

/** Everything that the queue workers have for one consumer thread: its lanes and its doorbell. */
export class Inbox {
  readonly bell: Doorbell
  readonly #lanes: readonly LaneReader[]
  readonly #deliver: Deliver
  readonly #flow = new FlowRef()
  readonly #span = new Span()

  constructor(bell: Doorbell, lanes: readonly LaneReader[], deliver: Deliver) {
    this.bell = bell
    this.#lanes = lanes
    this.#deliver = deliver
    bell.arm()
    // Whoever takes the place of a worker that died finds deliveries that nobody rings for again.
    if (this.#waiting()) bell.ring()
  }

  /**
   * Call when the doorbell's descriptor is readable: takes about `budget` bytes from each lane, and comes again if
   * there are more.
   */
  wake(budget = wakeBudget): void {
    native.eventDrain(this.bell.fd)
    if (this.drain(budget)) {
      this.bell.arm()
      if (!this.#waiting()) return
      this.bell.disarm()
    }
    native.eventRing(this.bell.fd)
  }

  /** True when every lane was emptied. */
  drain(budget: number): boolean {
    let empty = true
    for (const lane of this.#lanes) {
      for (let taken = 0; ; ) {
        if (taken > budget) {
          empty = false
          break
        }
        const length = this.#takeOne(lane)
        if (length === 0) break
        taken += length
      }
    }
    return empty
  }

  close(): void {
    for (const lane of this.#lanes) lane.close()
  }

  /** Hands on the oldest delivery of a lane; its bytes, 0 when there is none. */
  #takeOne(lane: LaneReader): number {
    const { ring, arena, bytes } = lane
    const record = ring.peek()
    if (record < 0) return 0
    const { words } = ring
    const flow = this.#flow
    flow.slot = words[record + Delivery.slot]
    flow.generation = words[record + Delivery.generation]
    const span = this.#span
    span.memory = arena
    span.bytes = bytes
    span.at = words[record + Delivery.at]
    const length = words[record + Delivery.length]
    span.length = length
    span.segmentSize = words[record + Delivery.segmentSize]
    // Before it is handled: should that kill the consumer, the next one must not meet it again.
    ring.release()
    this.#deliver(lane, flow, span)
    return length
  }

  #waiting(): boolean {
    return this.#lanes.some(({ ring }) => ring.peek() >= 0)
  }
}
