import { Counter } from '../memory/counters.js'
import type { Tuple } from '../memory/tuple.js'
import { FloodAlarm } from './flood-alarm.js'
import { halfSipHash, putTuple } from './half-sip-hash.js'
import {
  synAgainRate,
  synBurst,
  synFilterBits,
  synFilterMs,
  synRate,
  synSourceBuckets,
  synSourceBurst,
  synSourceRate,
} from './limits.js'
import { TokenBucket } from './token-bucket.js'

/**
 * Decides which SYNs a worker answers. Below the worker's rate it answers all of them. Above it, it answers those that
 * come a second time: a real client tries again after a second, a flood of random sources hardly ever repeats itself.
 * No source gets more answers than its own rate allows, so nobody can make the stack answer a victim without end.
 */
export class SynGuard {
  readonly #k0: number
  readonly #k1: number
  readonly #all = new TokenBucket(synRate, synBurst)
  readonly #again = new TokenBucket(synAgainRate)
  readonly #alarm: FloodAlarm
  /**
   * For each bucket of sources, the time (ms) until which its answers have used up its rate (the generic cell rate
   * algorithm).
   */
  readonly #paidUntil = new Float64Array(synSourceBuckets)
  readonly #source = new Int32Array(3)
  readonly #syn = new Int32Array(6)
  /**
   * Filter of the SYNs since the last turn, and of those between that turn and the one before. Both are made when they
   * are first needed.
   */
  #recent: Uint32Array | undefined
  #older: Uint32Array | undefined
  #turnedAt = 0

  /**
   * `key` as for `SynCookies`; the hashes here use it otherwise. `onFlood` is called once a second while many SYNs are
   * refused.
   */
  constructor(key: Int32Array, onFlood: () => void) {
    this.#k0 = ~key[1]
    this.#k1 = ~key[0]
    this.#alarm = new FloodAlarm(onFlood)
  }

  /** -1 when this tuple's SYN is to be answered; otherwise the counter to raise. `now` in milliseconds. */
  refuses(tuple: Tuple, now: number): number {
    const why = this.#judge(tuple, now)
    if (why >= 0) this.#alarm.refused(now)
    return why
  }

  #judge(tuple: Tuple, now: number): number {
    // The rate of all comes first: in a flood it decides most cases.
    const calm = this.#all.take(now)
    if (!calm && !(this.#seenBefore(tuple, now) && this.#again.take(now))) return Counter.synFlood
    const bucket = this.#bucketOf(tuple)
    const paidUntil = Math.max(this.#paidUntil[bucket], now)
    if (paidUntil - now > ((synSourceBurst - 1) * 1000) / synSourceRate) {
      if (calm) this.#all.giveBack()
      return Counter.synSourceLimited
    }
    this.#paidUntil[bucket] = paidUntil + 1000 / synSourceRate
    return -1
  }

  #bucketOf(tuple: Tuple): number {
    const source = this.#source
    source[0] = tuple.family
    source[1] = tuple.r0
    source[2] = tuple.family === 6 ? tuple.r1 : 0
    return halfSipHash(this.#k0, this.#k1, source) % synSourceBuckets
  }

  /** Whether a SYN of this tuple came lately. The tuple counts as seen from now on. */
  #seenBefore(tuple: Tuple, now: number): boolean {
    const recent = this.#filterAt(now)
    const syn = this.#syn
    putTuple(syn, tuple)
    syn[5] = tuple.family
    const bit = halfSipHash(this.#k0, this.#k1, syn) % synFilterBits
    const mask = 1 << (bit & 31)
    const word = bit >>> 5
    const seen = ((recent[word] | (this.#older?.[word] ?? 0)) & mask) !== 0
    recent[word] |= mask
    return seen
  }

  /**
   * The recent filter, after the turns that are due by `now`: in a turn the recent one becomes the older one, which is
   * emptied.
   */
  #filterAt(now: number): Uint32Array {
    const age = now - this.#turnedAt
    if (this.#recent === undefined || age >= synFilterMs) {
      const spare = this.#older?.fill(0) ?? new Uint32Array(synFilterBits / 32)
      this.#older = this.#recent
      if (age >= 2 * synFilterMs) this.#older?.fill(0)
      this.#recent = spare
      this.#turnedAt = now
    }
    return this.#recent
  }
}
