import { TokenBucket } from '../flood/token-bucket.js'
import type { LogEvent } from './events.js'

/**
 * How many events of a kind pass one by one: `burst` at once, and `rate` per second in the long run. More pass of the
 * lower levels, since they may be about one peer each. Warnings of one kind all say the same.
 */
const limits = {
  debug: { burst: 20, rate: 2 },
  info: { burst: 20, rate: 2 },
  warn: { burst: 3, rate: 0.3 },
  error: { burst: 3, rate: 0.3 },
} as const
/**
 * The other events are counted, and after this time one event with the count passes. While more come none passes by
 * itself, and the time doubles with each count, up to the maximum.
 */
const foldMs = 3_000
const maxFoldMs = 60_000
/** A kind of which no event came for this long starts over, and may be forgotten. */
const forgetMs = 10_000
/** The most kinds that are remembered. The events of all others count as one kind per level. */
const maxKinds = 100

const unfolded = { pauseMs: foldMs, dueAt: 0 } as const

/** Events with the same level and text. (Not with the same name: under one name the text may name different faults.) */
interface Kind {
  /** Whether it stands for all kinds that are not remembered. */
  readonly shared: boolean
  readonly bucket: TokenBucket
  /** As in `limits`. */
  readonly rate: number
  /** When the last event came. */
  usedAt: number
  /** The last of the events that wait, and how many events they stand for. */
  last: LogEvent | undefined
  count: number
  /** How long they wait in milliseconds, and until when. */
  pauseMs: number
  dueAt: number
}

/** Calls `act` in `ms` milliseconds, unless the function that it returns is called before. */
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
 * Folds many equal events into one. A few of a kind pass as they are. If more come they are counted, and some seconds
 * later the last of them passes with the count in its fields; up to a minute later, if many go on coming. So a peer or
 * a flood that causes events without end causes a bounded number of log records.
 */
export class Repeats {
  readonly #pass: (event: LogEvent) => void
  readonly #clock: () => number
  readonly #later: Later
  readonly #kinds = new Map<string, Kind>()
  /** Cancels the timer, which is set for `#tickAt`. */
  #cancel: (() => void) | undefined
  #tickAt = Number.POSITIVE_INFINITY

  /** `pass` gets the events that pass. `clock` in milliseconds. */
  constructor(pass: (event: LogEvent) => void, clock: () => number = () => performance.now(), later: Later = byTimer) {
    this.#pass = pass
    this.#clock = clock
    this.#later = later
  }

  /** Passes an event, or counts it. */
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

  /** Passes now what waits. */
  flush(): void {
    this.#disarm()
    for (const kind of this.#kinds.values()) this.#settle(kind)
  }

  /** Passes what has waited long enough. */
  #tick(): void {
    this.#disarm()
    const now = this.#clock()
    for (const kind of this.#kinds.values()) {
      if (kind.count === 0) continue
      if (kind.dueAt <= now) {
        // So few came that they could have passed one by one. From now on they may again.
        const calm = kind.count <= (kind.rate * kind.pauseMs) / 1_000
        kind.pauseMs = calm ? foldMs : Math.min(2 * kind.pauseMs, maxFoldMs)
        this.#settle(kind)
      } else this.#arm(kind.dueAt)
    }
  }

  /** Sets the timer, unless it is set for an earlier time. */
  #arm(at: number): void {
    if (at >= this.#tickAt) return
    this.#disarm()
    this.#tickAt = at
    // A timer may fire up to a millisecond early.
    this.#cancel = this.#later(() => this.#tick(), Math.ceil(at - this.#clock()) + 1)
  }

  #disarm(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#tickAt = Number.POSITIVE_INFINITY
  }

  /** Passes what waits of one kind. */
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
