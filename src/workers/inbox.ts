import type { Doorbell } from '../memory/doorbell.js'
import type { PacketRing } from '../memory/packet-ring.js'
import { native } from '../native.js'
import { Delivery } from './delivery.js'

export interface InboxSource {
  readonly ring: PacketRing
  /** The ring's record area as an arena of this thread. */
  readonly arena: number
}

/** Takes one delivery; `at` is the payload's offset in the ring's record area. Valid until it returns. */
export type Deliver = (
  source: InboxSource,
  slot: number,
  generation: number,
  segmentSize: number,
  at: number,
  length: number,
) => void

/** Everything that the queue workers have for one consumer thread: its rings and its doorbell. */
export class Inbox {
  readonly bell: Doorbell
  readonly #sources: readonly InboxSource[]
  readonly #deliver: Deliver

  constructor(bell: Doorbell, rings: readonly PacketRing[], deliver: Deliver) {
    this.bell = bell
    this.#sources = rings.map(ring => ({ ring, arena: native.arenaOpen(ring.bytes) }))
    this.#deliver = deliver
    bell.arm()
    // Whoever takes the place of a worker that died finds records that nobody rings for again.
    if (this.#waiting()) bell.ring()
  }

  /** Call when the doorbell's descriptor is readable: takes about `budget` bytes from each ring, and comes again if there are more. */
  wake(budget: number): void {
    native.eventDrain(this.bell.fd)
    if (this.drain(budget)) {
      this.bell.arm()
      if (!this.#waiting()) return
      this.bell.disarm()
    }
    native.eventRing(this.bell.fd)
  }

  /** True when every ring was emptied. */
  drain(budget: number): boolean {
    let empty = true
    for (const source of this.#sources) {
      const { ring } = source
      for (let taken = 0; ; taken += ring.length) {
        if (taken > budget) {
          empty = false
          break
        }
        const at = ring.peek()
        if (at < 0) break
        const { words } = ring
        const word = at >> 2
        try {
          this.#deliver(
            source,
            words[word + Delivery.slot],
            words[word + Delivery.generation],
            words[word + Delivery.segmentSize],
            at + Delivery.headerBytes,
            ring.length - Delivery.headerBytes,
          )
        } finally {
          // Even when it killed its consumer: the next one must not meet it again.
          ring.release()
        }
      }
    }
    return empty
  }

  close(): void {
    for (const { arena } of this.#sources) native.arenaClose(arena)
  }

  #waiting(): boolean {
    return this.#sources.some(({ ring }) => ring.peek() >= 0)
  }
}
