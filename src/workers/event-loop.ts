import { checkWatch, native, type Poller, Ready } from '../native.js'
import { Coalescer } from './coalescer.js'
import type { Heartbeat } from './heartbeat.js'
import type { ReadHandler } from './service.js'

interface Watched {
  readonly fd: number
  readonly act: () => unknown
  /** The same function, if what it reads may wait (`coalesceUs`). */
  readonly read: ReadHandler | undefined
}

/** The most descriptors that the kernel reports as ready in one call. */
const maxReady = 64

/**
 * What a queue worker waits for: descriptors and timers. Before each callback the loop begins a *turn*: it reads the
 * clock once, and tells the coordinator's watchdog that the worker is not stuck.
 */
export class EventLoop {
  readonly heartbeat: Heartbeat
  readonly #poller: Poller
  /** Pairs (token, ready events), as the poller fills them. */
  readonly #events = new Int32Array(maxReady * 2)
  /** By token. */
  readonly #watched = new Map<number, Watched>()
  /** By descriptor. */
  readonly #tokens = new Map<number, number>()
  readonly #coalescer: Coalescer | undefined
  readonly #intervals: NodeJS.Timeout[] = []
  readonly #timeouts = new Set<NodeJS.Timeout>()
  #nextToken = 0
  #now = native.clock()

  /**
   * `coalesceUs`: microseconds that data may wait, so that more is read at once; 0: it does not wait. Throws DEVICE
   * when the kernel refuses a descriptor.
   */
  constructor(heartbeat: Heartbeat, coalesceUs: number) {
    this.heartbeat = heartbeat
    const events = native.arenaOpen(new Uint8Array(this.#events.buffer))
    this.#poller = new native.Poller(events, maxReady, count => this.#wake(count))
    if (coalesceUs === 0) return
    const coalescer = new Coalescer(this.#poller, coalesceUs)
    this.#coalescer = coalescer
    this.watchBell(coalescer.timer, () => coalescer.tick())
  }

  /** CLOCK_MONOTONIC in milliseconds, as it was when this turn began. */
  get now(): number {
    return this.#now
  }

  /** Begins a turn. Call first in a callback that is not the loop's own, as for a message. */
  turn(): void {
    this.#now = native.clock()
    this.heartbeat.beat(this.#now)
  }

  /** Calls `read` whenever the descriptor is readable. Throws DEVICE when the kernel refuses. */
  watch(fd: number, read: ReadHandler): void {
    checkWatch(this.tryWatch(fd, read))
  }

  /** The same for a doorbell or a timer. `coalesceUs` does not apply to it. */
  watchBell(fd: number, act: () => void): void {
    checkWatch(this.#add({ fd, act, read: undefined }))
  }

  /** As `watch`, for a descriptor that the caller can do without. Returns 0, or -errno when the kernel refuses. */
  tryWatch(fd: number, read: ReadHandler): number {
    return this.#add({ fd, act: read, read })
  }

  /** Ends a `watch`. Call before the descriptor is closed. */
  unwatch(fd: number): void {
    const token = this.#tokens.get(fd)
    if (token === undefined) return
    this.#tokens.delete(fd)
    this.#watched.delete(token)
    this.#coalescer?.forget(fd)
    this.#poller.remove(fd)
  }

  /** Calls `tick` about every `ms` milliseconds until the loop is closed. */
  every(ms: number, tick: () => void): void {
    const timer = setInterval(() => {
      this.turn()
      tick()
    }, ms)
    this.#intervals.push(timer)
  }

  /** Calls `act` once, in `ms` milliseconds, unless the loop is closed before. */
  after(ms: number, act: (now: number) => void): void {
    const timer = setTimeout(() => {
      this.#timeouts.delete(timer)
      this.turn()
      act(this.#now)
    }, ms)
    this.#timeouts.add(timer)
  }

  close(): void {
    for (const timer of this.#intervals) clearInterval(timer)
    for (const timer of this.#timeouts) clearTimeout(timer)
    this.#poller.close()
    this.#coalescer?.close()
  }

  #wake(ready: number): void {
    this.turn()
    for (let i = 0; i < ready; i++) this.#ready(this.#events[i * 2])
  }

  #ready(token: number): void {
    const watched = this.#watched.get(token)
    if (watched === undefined) return
    const { fd, act, read } = watched
    act()
    // `act` may have ended the watch.
    if (read !== undefined && this.#watched.has(token)) this.#coalescer?.wait(fd, token, read)
  }

  #add(watched: Watched): number {
    const token = this.#nextToken++
    const result = this.#poller.add(watched.fd, token, Ready.read)
    if (result < 0) return result
    this.#watched.set(token, watched)
    this.#tokens.set(watched.fd, token)
    return 0
  }
}
