import type { StackMemory } from '../memory/shared-stack.js'
import { native, type Poller, Ready, watch } from '../native.js'
import { type Deliver, Inbox } from '../path/inbox.js'

/** What the queue workers have for this thread, taken whenever its event loop hears the doorbell. */
export class ThreadInbox {
  readonly #inbox: Inbox
  readonly #poller: Poller
  readonly #events: number
  readonly #laneCapacity: number

  /** `thread` is this thread's number. No worker may send to it yet. */
  constructor(memory: StackMemory, thread: number, deliver: Deliver) {
    const { device, laneCapacity } = memory.shared
    const lanes = device.queues.map((_, queue) => memory.laneFrom(queue, thread))
    // Whoever had this number before may have died with deliveries in its hands.
    for (const lane of lanes) lane.reclaim()
    this.#laneCapacity = laneCapacity
    this.#inbox = new Inbox(memory.bell(thread), lanes, deliver)
    const events = new Int32Array(2)
    this.#events = native.arenaOpen(new Uint8Array(events.buffer))
    this.#poller = new native.Poller(this.#events, 1, () => this.#inbox.wake())
    watch(this.#poller, this.#inbox.bell.fd, 0, Ready.read)
  }

  /** Delivers what the workers have sent so far: not more than full lanes hold, since a flood must not keep us here. */
  drain(): void {
    this.#inbox.drain(2 * this.#laneCapacity)
  }

  /** Whether it keeps the event loop alive; it does at first. */
  ref(): void {
    this.#poller.ref()
  }

  unref(): void {
    this.#poller.unref()
  }

  close(): void {
    this.#poller.close()
    native.arenaClose(this.#events)
    this.#inbox.close()
  }
}
