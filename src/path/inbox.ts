import { Delivery } from '../memory/delivery-ring.js'
import type { Doorbell } from '../memory/doorbell.js'
import { type FlowId, FlowRef } from '../memory/flow-table.js'
import type { LaneReader } from '../memory/lane.js'
import { Span } from '../memory/span.js'
import { native } from '../native.js'

/** Gets one delivery: datagrams of a flow in a block of `lane`. They stay there until somebody calls `lane.release`. */
export type Deliver = (lane: LaneReader, flow: FlowId, span: Span) => void

/**
 * Bytes taken from each lane in one wake. A socket's reader gets a turn only after the wake, so the socket's receive
 * queue must have room for all of them.
 */
const wakeBudget = 1024 * 1024

/** The receiving end of one consumer thread: its lanes from the queue workers, and its doorbell. */
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
    // A worker that replaces a dead one may find deliveries in its lanes. Nobody rings for them again.
    if (this.#waiting()) bell.ring()
  }

  /**
   * Call when the doorbell's descriptor is readable. Takes about `budget` bytes from each lane. If there are more it
   * rings the bell, so that it is called again after the event loop has had a turn.
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

  /** Takes about `budget` bytes from each lane. True when every lane is empty then. */
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

  /** Hands on the oldest delivery of a lane. Returns its bytes; 0: there was none. */
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
    // The record goes before the delivery is handled. If handling it kills this thread, the next one must not get it
    // again.
    ring.release()
    this.#deliver(lane, flow, span)
    return length
  }

  #waiting(): boolean {
    return this.#lanes.some(({ ring }) => ring.peek() >= 0)
  }
}
