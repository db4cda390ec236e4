import type { Doorbell } from '../memory/doorbell.js'
import { Delivery, type LaneReader } from '../memory/lane.js'
import { native } from '../native.js'

/** Takes one delivery: `length` bytes of `lane`, from `at`, which are its own until it calls `lane.release(at)`. */
export type Deliver = (
  lane: LaneReader,
  slot: number,
  generation: number,
  segmentSize: number,
  at: number,
  length: number,
) => void

/** Bytes taken from each lane in one wake: they must fit a socket's queue, since its reader gets a turn only afterwards. */
const wakeBudget = 1024 * 1024

/** Everything that the queue workers have for one consumer thread: its lanes and its doorbell. */
export class Inbox {
  readonly bell: Doorbell
  readonly #lanes: readonly LaneReader[]
  readonly #deliver: Deliver

  constructor(bell: Doorbell, lanes: readonly LaneReader[], deliver: Deliver) {
    this.bell = bell
    this.#lanes = lanes
    this.#deliver = deliver
    bell.arm()
    // Whoever takes the place of a worker that died finds deliveries that nobody rings for again.
    if (this.#waiting()) bell.ring()
  }

  /** Call when the doorbell's descriptor is readable: takes about `budget` bytes from each lane, and comes again if there are more. */
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
      const { ring } = lane
      const { words } = ring
      for (let taken = 0; ; ) {
        if (taken > budget) {
          empty = false
          break
        }
        const record = ring.peek() >> 2
        if (record < 0) break
        const at = words[record + Delivery.at]
        const length = words[record + Delivery.length]
        const slot = words[record + Delivery.slot]
        const generation = words[record + Delivery.generation]
        const segmentSize = words[record + Delivery.segmentSize]
        // Before it is handled: should that kill the consumer, the next one must not meet it again.
        ring.release()
        taken += length
        this.#deliver(lane, slot, generation, segmentSize, at, length)
      }
    }
    return empty
  }

  close(): void {
    for (const lane of this.#lanes) lane.close()
  }

  #waiting(): boolean {
    return this.#lanes.some(({ ring }) => ring.peek() >= 0)
  }
}
