import type { StackMemory } from '../memory/shared-stack.js'
import { checkWatch, native, type Poller, Ready } from '../native.js'
import { type Deliver, Inbox } from '../path/inbox.js'

/** The `Inbox` of a thread that is no queue worker, connected to the thread's event loop. */
export class ThreadInbox {
  readonly #inbox: Inbox
  readonly #poller: Poller
  readonly #events: number
  readonly #laneCapacity: number

  /** `thread`: this thread's number. Make it before a worker sends to that number. */
  constructor(memory: StackMemory, thread: number, deliver: Deliver) {
    const { device, laneCapacity } = memory.shared
    const lanes = device.queues.map((_, queue) => memory.laneFrom(queue, thread))
    // A thread that had this number before may have ended without releasing its deliveries.
    for (const lane of lanes) lane.reclaim()
    this.#laneCapacity = laneCapacity
    this.#inbox = new Inbox(memory.bell(thread), lanes, deliver)
    const events = new Int32Array(2)
    this.#events = native.arenaOpen(new Uint8Array(events.buffer))
    this.#poller = new native.Poller(this.#events, 1, () => this.#inbox.wake())
    checkWatch(this.#poller.add(this.#inbox.bell.fd, 0, Ready.read))
  }

  /**
   * Delivers everything that the workers have sent so far. From each lane it takes at most about twice the lane's
   * capacity, so that it ends even while workers go on sending.
   */
  drain(): void {
    this.#inbox.drain(2 * this.#laneCapacity)
  }

  /** From now on it keeps the event loop alive, as it does at first. */
  ref(): void {
    this.#poller.ref()
  }

  /** From now on it does not keep the event loop alive. */
  unref(): void {
    this.#poller.unref()
  }

  close(): void {
    this.#poller.close()
    native.arenaClose(this.#events)
    this.#inbox.close()
  }
}
