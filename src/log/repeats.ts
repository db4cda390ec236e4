import { TokenBucket } from '../flood/token-bucket.js'
import type { LogEvent } from './events.js'

/**
 * Events of one kind that pass one by one: at most so many at once, and so many a second in the long run. What is only
 * told may tell of each of some peers; a warning says the same every time.
 */
const limits = {
  debug: { burst: 20, rate: 2 },
  info: { burst: 20, rate: 2 },
  warn: { burst: 3, rate: 0.3 },
  error: { burst: 3, rate: 0.3 },
} as const
/**
 * The others are counted, and the count follows after this time. While they go on none passes, and each count takes
 * twice as long, up to the longest.
 */
const foldMs = 3_000
const longestFoldMs = 60_000
/** A kind that was silent for this long may have its burst again, and need not be remembered. */
const forgetMs = 10_000
/** Kinds that are told apart at a time; all others share one for each level. */
const maxKinds = 100

const unfolded = { pauseMs: foldMs, dueAt: 0 } as const

/** Events of one level and text: one name may stand for several faults, and the text says which. */
interface Kind {
  readonly shared: boolean
  readonly bucket: TokenBucket
  /** A second, in the long run. */
  readonly rate: number
  usedAt: number
  /** The last one of those that wait, and how many events they stand for. */
  last: LogEvent | undefined
  count: number
  /** How long they wait, and until when. */
  pauseMs: number
  dueAt: number
}

/** Calls `act` in so many milliseconds, unless what it answers is called before. */
type Later = (act: () => void, ms: number) => () => void

const byTimer: Later = (act, ms) => {
  const timer = setTimeout(act, ms).unref()
  return () => clearTimeout(timer)
}

const countOf = ({ fields }: LogEvent): number => (typeof fields.count === 'number' ? fields.count : 1)

const folded = ({ level, text }: LogEvent, count: number): LogEvent => ({
  level,
  text: 'many different events',
  fields: { event: 'events-folded', count, last: text },
})

/**
 * Makes one event of many equal ones. A few of a kind pass as they are. If more come they are counted, and a few
 * seconds later (a minute, when it goes on) the last of them passes with the count in its fields. So a peer or a flood
 * that causes events causes bounded work for those who write them down.
 */
export class Repeats {
  readonly #pass: (event: LogEvent) => void
  readonly #clock: () => number
  readonly #later: Later
  readonly #kinds = new Map<string, Kind>()
  #cancel: (() => void) | undefined
  #tickAt = Number.POSITIVE_INFINITY

  /** `clock` in milliseconds. */
  constructor(pass: (event: LogEvent) => void, clock: () => number = () => performance.now(), later: Later = byTimer) {
    this.#pass = pass
    this.#clock = clock
    this.#later = later
  }

  add(event: LogEvent): void {
    const now = this.#clock()
    const kind = this.#kindOf(event, now)
    if (now - kind.usedAt > forgetMs) kind.pauseMs = foldMs
    kind.usedAt = now
    if (kind.count === 0 && kind.pauseMs === foldMs && kind.bucket.take(now)) {
      this.#pass(event)
      return
    }
    if (kind.count === 0) kind.dueAt = now + kind.pauseMs
    kind.last = event
    kind.count += countOf(event)
    this.#arm(kind.dueAt)
  }

  /** What waits passes now. */
  flush(): void {
    this.#disarm()
    for (const kind of this.#kinds.values()) this.#settle(kind)
  }

  /** What has waited long enough passes. */
  #tick(): void {
    this.#disarm()
    const now = this.#clock()
    for (const kind of this.#kinds.values()) {
      if (kind.count === 0) continue
      if (kind.dueAt <= now) {
        // Few of them could have passed one by one: from now on they may.
        const calm = kind.count <= (kind.rate * kind.pauseMs) / 1_000
        kind.pauseMs = calm ? foldMs : Math.min(2 * kind.pauseMs, longestFoldMs)
        this.#settle(kind)
      } else this.#arm(kind.dueAt)
    }
  }

  #arm(at: number): void {
    if (at >= this.#tickAt) return
    this.#disarm()
    this.#tickAt = at
    // A timer may come a little early.
    this.#cancel = this.#later(() => this.#tick(), Math.ceil(at - this.#clock()) + 1)
  }

  #disarm(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#tickAt = Number.POSITIVE_INFINITY
  }

  #settle(kind: Kind): void {
    const { last, count, shared } = kind
    if (last === undefined) return
    kind.last = undefined
    kind.count = 0
    if (count === 1) this.#pass(last)
    else if (shared) this.#pass(folded(last, count))
    else this.#pass({ ...last, fields: { ...last.fields, count } })
  }

  #kindOf({ level, text }: LogEvent, now: number): Kind {
    const key = `${level} ${text}`
    const known = this.#kinds.get(key)
    if (known !== undefined) return known
    if (this.#kinds.size >= maxKinds) this.#forgetSilent(now)
    const shared = this.#kinds.size >= maxKinds
    return shared
      ? (this.#kinds.get(level) ?? this.#begin(level, level, now, true))
      : this.#begin(key, level, now, false)
  }

  #begin(key: string, level: LogEvent['level'], now: number, shared: boolean): Kind {
    const { rate, burst } = limits[level]
    const kind = {
      shared,
      bucket: new TokenBucket(rate, burst),
      rate,
      usedAt: now,
      last: undefined,
      count: 0,
      ...unfolded,
    }
    this.#kinds.set(key, kind)
    return kind
  }

  #forgetSilent(now: number): void {
    for (const [key, { count, usedAt }] of this.#kinds) {
      if (count === 0 && now - usedAt > forgetMs) this.#kinds.delete(key)
    }
  }
}
