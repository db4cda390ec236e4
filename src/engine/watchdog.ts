import { url as inspected } from 'node:inspector'
import { isSystemError } from '../errors.js'
import { native } from '../native.js'
import { type ProcessStat, processStat } from '../process-stat.js'

export interface WatchdogHooks {
  /** The thread of this queue's worker, or undefined while there is none to watch. */
  thread(queue: number): number | undefined
  stuck(queue: number, how: string): void
}

/** Since when a worker is under suspicion, and what it was doing then. */
interface Suspicion extends ProcessStat {
  readonly beat: number
}

/** Undefined when the thread is gone, or no descriptor is left to read about it. */
const threadStat = (thread: number): ProcessStat | undefined => {
  try {
    return processStat(`/proc/self/task/${thread}/stat`)
  } catch (error) {
    if (!isSystemError(error)) throw error
    return undefined
  }
}

/**
 * Notices workers that do not come back: from a loop without end, or from a call that sleeps. A worker leaves the time
 * of each turn in shared memory. An old one alone means nothing, as the machine may be busy with others: the worker
 * must have had processor time and not ended its turn, or have slept in it.
 */
export class Watchdog {
  readonly #beats: Int32Array
  readonly #limit: number
  readonly #hooks: WatchdogHooks
  readonly #suspicions: (Suspicion | undefined)[] = []
  #tickedAt = native.clock()

  /**
   * `beats`: a word per queue, `native.clock()` of its worker's last turn; 0: not to be watched. `limit` in
   * milliseconds.
   */
  constructor(beats: Int32Array, limit: number, hooks: WatchdogHooks) {
    this.#beats = beats
    this.#limit = limit
    this.#hooks = hooks
  }

  /** Milliseconds between two ticks. */
  get period(): number {
    return this.#limit / 5
  }

  tick(now: number): void {
    // We may have stood still ourselves (SIGSTOP, a busy thread), or a debugger has stopped a worker.
    const paused = now - this.#tickedAt > this.#limit || inspected() !== undefined
    this.#tickedAt = now
    for (let queue = 0; queue < this.#beats.length; queue++) {
      const beat = Atomics.load(this.#beats, queue)
      const age = (now - beat) | 0
      const thread = this.#hooks.thread(queue)
      if (paused || beat === 0 || age <= this.#limit / 2 || thread === undefined) {
        this.#suspicions[queue] = undefined
        continue
      }
      const found = threadStat(thread)
      const suspicion = this.#suspicions[queue]
      if (suspicion?.beat !== beat || found === undefined) {
        this.#suspicions[queue] = found && { ...found, beat }
      } else if (age > this.#limit) {
        const used = found.cpuMs - suspicion.cpuMs
        const busy = used >= this.#limit / 4
        const asleep = used <= this.#limit / 20 && suspicion.state === 'S' && found.state === 'S'
        if (!busy && !asleep) continue
        this.#suspicions[queue] = undefined
        this.#hooks.stuck(queue, `${busy ? 'was busy' : 'slept'} for ${age} ms without returning to its queue`)
      }
    }
  }
}
