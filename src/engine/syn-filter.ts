import { native } from '../native.js'

/** SYNs a second that the filter drops while a flood lasts; below it the workers do alone. */
const floodRate = 20_000
const tickMs = 1_000

export interface SynFilterHooks {
  /** So many SYNs were dropped since the last time. */
  dropped(count: number): void
  log(text: string): void
}

/**
 * The last resort in a SYN flood: a program in the kernel, in front of the TUN's queues, that keeps from the workers (and from the queues, where
 * other packets need the room) every SYN but those that come again. Workers say when there is a flood; when it has ended the program goes.
 */
export class SynFilter {
  readonly #queue: number
  readonly #map: number
  readonly #program: number
  readonly #hooks: SynFilterHooks
  #timer: NodeJS.Timeout | undefined
  #dropped = 0

  private constructor(queue: number, map: number, program: number, hooks: SynFilterHooks) {
    this.#queue = queue
    this.#map = map
    this.#program = program
    this.#hooks = hooks
  }

  /** For the interface of this queue. Undefined where that is no TUN, or the kernel takes no programs from us (no CAP_BPF). */
  static open(queue: number, hooks: SynFilterHooks): SynFilter | undefined {
    // Also takes away what another one left, who ended during a flood.
    if (native.tunFilter(queue, -1) < 0) return undefined
    const map = native.synMapOpen()
    if (map < 0) return undefined
    const program = native.synFilterOpen(map)
    if (program >= 0) return new SynFilter(queue, map, program, hooks)
    native.close(map)
    return undefined
  }

  /** More SYNs came than are answered. */
  flood(): void {
    if (this.#timer !== undefined || native.tunFilter(this.#queue, this.#program) < 0) return
    this.#hooks.log('SYN flood: from now on a client’s first SYN is dropped by the kernel, its second is answered')
    this.#timer = setInterval(() => this.#tick(), tickMs).unref()
  }

  close(): void {
    this.#remove()
    native.close(this.#program)
    native.close(this.#map)
  }

  #tick(): void {
    const total = native.synFilterDropped(this.#map)
    const dropped = Math.max(0, total - this.#dropped)
    this.#dropped += dropped
    this.#hooks.dropped(dropped)
    if (dropped >= (floodRate * tickMs) / 1000) return
    this.#remove()
    this.#hooks.log('The SYN flood has ended')
  }

  #remove(): void {
    if (this.#timer === undefined) return
    clearInterval(this.#timer)
    this.#timer = undefined
    native.tunFilter(this.#queue, -1)
  }
}
