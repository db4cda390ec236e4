import { url as inspected } from 'node:inspector'
import { isSystemError } from '../errors.js'
import { native } from '../native.js'
import { type ProcessStat, processStat } from '../process-stat.js'

export interface WatchdogHooks {
  /** The kernel's number of the thread of this queue's worker; undefined while there is none to watch. */
  thread(queue: number): number | undefined
  /** The worker does not come back. `how`: in words. */
  stuck(queue: number, how: string): void
}

/** The first look at a worker that seems stuck: its last heartbeat, and what its thread was doing then. */
interface Suspicion extends ProcessStat {
  readonly beat: number
}

/** Undefined when the thread is gone, or when no descriptor is left to read its file. */
const threadStat = (thread: number): ProcessStat | undefined => {
  try {
    return processStat(`/proc/self/task/${thread}/stat`)
  } catch (error) {
    if (!isSystemError(error)) throw error
    return undefined
  }
}

/**
 * Finds workers that do not end their turn, because of an endless loop or a call that sleeps. A worker writes the time
 * of each turn to shared memory. An old time alone proves nothing, since other programs may keep the machine busy. The
 * worker must also have had processor time without ending its turn, or have slept in it.
 */
export class Watchdog {
  readonly #beats: Int32Array
  readonly #limit: number
  readonly #hooks: WatchdogHooks
  readonly #suspicions: (Suspicion | undefined)[] = []
  #tickedAt = native.clock()

  /**
   * `beats`: one word per queue, `native.clock()` at its worker's last turn; 0: do not watch it. `limit`: milliseconds.
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
    // This thread itself may have stood still (SIGSTOP, a busy callback), or a debugger may have stopped a worker.
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
