import type { Activity } from './activity.js'
import type { TunnelContext } from './counters.js'

/** What a flow must be to have a place here. */
export interface LimitedFlow {
  readonly activity: Activity
  /** Whether it may go because it is idle. */
  isIdle(now: number): boolean
  /** Ends it, and deletes it from the set. */
  end(why: 'idle' | 'evicted'): void
  /** Once in a while. */
  tick(now: number): void
}

/** A flow that was silent for less, in milliseconds, never makes room for another one. */
const busyMs = 5_000
/** One in so many goes when the set is full, so that the next flows find room without a search. */
const evictedShare = 16
/** What the other workers may be asked to make room for at once; so many flows may be too many for a moment. */
const maxAsked = 32

/** Words per queue in the memory that the workers share. */
const Word = {
  /** Flows of this worker. */
  count: 0,
  /** When its idlest flow was last active, in seconds; 0: it has none. */
  idlestAt: 1,
  /** Flows that others ask it to evict. */
  asked: 2,
  words: 3,
} as const

/**
 * The flows of one worker, and the limit for all workers together. When it is reached the flow that was silent for
 * longest makes room, or the new one is refused.
 */
export class FlowSet<Flow extends LimitedFlow> {
  readonly #context: TunnelContext
  readonly #max: number
  readonly #shared: Int32Array
  readonly #base: number
  readonly #flows = new Set<Flow>()
  /** Before that no flow of ours can be idle enough to make room. */
  #searchAt = 0

  /** Memory for the workers of one tunnel. */
  static share(queues: number): SharedArrayBuffer {
    return new SharedArrayBuffer(queues * Word.words * 4)
  }

  constructor(context: TunnelContext, { maxFlows, flowCounts }: { maxFlows: number; flowCounts: SharedArrayBuffer }) {
    this.#context = context
    this.#max = maxFlows
    this.#shared = new Int32Array(flowCounts)
    this.#base = context.queue * Word.words
    // A worker that died has left its own.
    this.#shared.fill(0, this.#base, this.#base + Word.words)
  }

  get size(): number {
    return this.#flows.size
  }

  [Symbol.iterator](): Iterator<Flow> {
    return this.#flows.values()
  }

  /** Whether there is room for one more flow, or was made. If not, the new one is counted as refused. */
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

  /** Evicts the idlest flows of this worker, if there are any that may go. Whether it did. */
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

  /** Call about once a second: ends idle flows, and gives every flow its turn. */
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

  /** Another worker may have what we have not: flows that are idle enough. It makes room with its next sweep. */
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
