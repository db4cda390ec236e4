import type { Activity } from './activity.js'
import type { TunnelContext } from './counters.js'

/** What a `FlowSet` needs to know of a flow. */
export interface LimitedFlow {
  readonly activity: Activity
  /** Whether its idle timeout has passed. `now` in milliseconds. */
  isIdle(now: number): boolean
  /** Closes the flow and deletes it from the set. */
  end(why: 'idle' | 'evicted'): void
  /** Called with every sweep, about once a second. `now` in milliseconds. */
  tick(now: number): void
}

/** A flow is not evicted before it was silent for this long, in milliseconds. */
const busyMs = 5_000
/** A full set evicts one flow in this many at once, so that the next new flows find room without another search. */
const evictedShare = 16
/**
 * Maximum number of evictions that wait in one worker for its next sweep. The flows in whose favour they were asked for
 * exist already, so for up to a second there may be this many too many for each worker.
 */
const maxAsked = 32

/** Words of each worker in the memory that all workers of the tunnel share. */
const Word = {
  /** Number of its flows. */
  count: 0,
  /** When its idlest flow was last active, in seconds, as of the last sweep; 0: it had no flow. */
  idlestAt: 1,
  /** Number of flows that other workers ask it to evict. */
  asked: 2,
  words: 3,
} as const

/**
 * The flows of one worker; all workers together keep to `maxFlows`. At the limit a worker evicts its idlest flows, or
 * asks the worker with the idlest one to do so; if no flow is idle enough the new one is refused.
 */
export class FlowSet<Flow extends LimitedFlow> {
  readonly #context: TunnelContext
  readonly #max: number
  readonly #shared: Int32Array
  readonly #base: number
  readonly #flows = new Set<Flow>()
  /** No flow of this worker can have been silent for `busyMs` before this time. */
  #searchAt = 0

  /** Makes the memory that the workers of one tunnel share. */
  static share(queues: number): SharedArrayBuffer {
    return new SharedArrayBuffer(queues * Word.words * 4)
  }

  constructor(context: TunnelContext, { maxFlows, flowCounts }: { maxFlows: number; flowCounts: SharedArrayBuffer }) {
    this.#context = context
    this.#max = maxFlows
    this.#shared = new Int32Array(flowCounts)
    this.#base = context.queue * Word.words
    // Another worker of this queue may have died: its flows are gone from this set.
    this.#shared.fill(0, this.#base, this.#base + Word.words)
  }

  get size(): number {
    return this.#flows.size
  }

  [Symbol.iterator](): Iterator<Flow> {
    return this.#flows.values()
  }

  /** Whether one more flow may begin; makes room if need be. If not, counts and logs a refused flow. */
  admits(): boolean {
    if (this.#total() < this.#max || this.makeRoom() || this.#askOthers()) return true
    this.#context.count('flowRefused')
    const text = `All ${this.#max} flows of \`maxFlows\` are in use, and none was silent for ${busyMs / 1_000} s: a new one was refused.`
    this.#context.log('warn', 'flows-full', text, { maxFlows: this.#max })
    return false
  }

  add(flow: Flow): void {
    this.#flows.add(flow)
    this.#store(Word.count, this.#flows.size)
  }

  delete(flow: Flow): void {
    this.#flows.delete(flow)
    this.#store(Word.count, this.#flows.size)
  }

  /**
   * Evicts this worker's idlest flows: `atLeast`, or one in `evictedShare` when that is more, or fewer when fewer are
   * idle enough. Whether it evicted any.
   */
  makeRoom(atLeast = 1): boolean {
    const now = this.#context.now()
    if (now < this.#searchAt) return false
    const idle: Flow[] = []
    let idlestAt = now
    for (const flow of this.#flows) {
      const { lastAt } = flow.activity
      if (now - lastAt >= busyMs) idle.push(flow)
      if (lastAt < idlestAt) idlestAt = lastAt
    }
    if (idle.length === 0) {
      this.#searchAt = idlestAt + busyMs
      return false
    }
    idle.sort((a, b) => a.activity.lastAt - b.activity.lastAt)
    const evicted = idle.slice(0, Math.max(atLeast, Math.floor(this.#flows.size / evictedShare)))
    for (const flow of evicted) flow.end('evicted')
    this.#context.count('flowEvicted', evicted.length)
    return true
  }

  /** Call about once a second: ends idle flows, calls `tick` of the others, evicts what other workers asked for. */
  sweep(): void {
    const now = this.#context.now()
    let idlestAt = now
    for (const flow of this.#flows) {
      if (flow.isIdle(now)) flow.end('idle')
      else {
        flow.tick(now)
        idlestAt = Math.min(idlestAt, flow.activity.lastAt)
      }
    }
    this.#store(Word.idlestAt, this.#flows.size === 0 ? 0 : Math.ceil(idlestAt / 1_000))
    const asked = Atomics.exchange(this.#shared, this.#base + Word.asked, 0)
    if (asked > 0) this.makeRoom(asked)
  }

  #total(): number {
    let total = 0
    for (let at = Word.count; at < this.#shared.length; at += Word.words) total += Atomics.load(this.#shared, at)
    return total
  }

  /** Asks the worker with the idlest flow to evict one in its next sweep. False when none is idle enough. */
  #askOthers(): boolean {
    const seconds = (this.#context.now() - busyMs) / 1_000
    let idlest = -1
    let idlestAt = seconds
    for (let base = 0; base < this.#shared.length; base += Word.words) {
      const at = Atomics.load(this.#shared, base + Word.idlestAt)
      const free = Atomics.load(this.#shared, base + Word.asked) < maxAsked
      if (base === this.#base || at === 0 || at >= idlestAt || !free) continue
      idlest = base
      idlestAt = at
    }
    if (idlest < 0) return false
    Atomics.add(this.#shared, idlest + Word.asked, 1)
    return true
  }

  #store(word: number, value: number): void {
    Atomics.store(this.#shared, this.#base + word, value)
  }
}
