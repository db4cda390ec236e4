import { Counter } from '../memory/counters.js'
import { FloodAlarm } from './flood-alarm.js'
import { halfSipHash } from './syn-cookie.js'
import { TokenBucket } from './token-bucket.js'

/** SYNs answered per worker without further questions. A flood beyond it costs a read and a hash per packet, no answer. */
const globalRate = 50_000
const globalBurst = 30_000
/** As many again of those that come a second time: a flood may repeat itself too. */
const againRate = 50_000
/** SYNs answered per source (an IPv4 address, an IPv6 /64) and second; a NAT with thousands of users may open that many at once. */
const sourceRate = 2_000
const sourceBurst = 20_000
/** Hash buckets. The sources of one bucket share its rate: with 8,192 of them, 100,000 spoofed sources that send a SYN a second take 12 of the 2,000 of each. */
const places = 8_192
/** Bits of each of the two filters: at 300,000 SYNs a second one in seven passes by chance. */
const filterBits = 2 ** 23
/** A SYN that comes again within one to two of these is a retry; all clients' first comes after a second. */
const filterMs = 2_000

/** What is looked at of a SYN: its family, ports and the words of its remote address. */
export interface Syn {
  readonly family: number
  readonly ports: number
  readonly r0: number
  readonly r1: number
  readonly r2: number
  readonly r3: number
}

/**
 * Which SYNs are answered. Below the global rate all are; above it, those that come a second time: a real client tries again after a
 * second, a flood of random sources hardly ever repeats itself. And no source gets more than its own rate, so that nobody can make us
 * answer a victim without end.
 */
export class SynGuard {
  readonly #k0: number
  readonly #k1: number
  readonly #all = new TokenBucket(globalRate, globalBurst)
  readonly #again = new TokenBucket(againRate)
  readonly #alarm: FloodAlarm
  /** Per place, when its answers will have been paid for, in ms (the generic cell rate algorithm). */
  readonly #paidAt = new Float64Array(places)
  /** SYNs seen since the last turn and since the one before; made when they are first needed. */
  #recent: Uint32Array | undefined
  #older: Uint32Array | undefined
  #turnedAt = 0

  /** `key` as for `SynCookies`; the hashes here are others. `onFlood` is called once a second while many are refused. */
  constructor(key: Int32Array, onFlood: () => void) {
    this.#k0 = ~key[1]
    this.#k1 = ~key[0]
    this.#alarm = new FloodAlarm(onFlood)
  }

  /** -1: answer it. Otherwise the counter to raise. `now` in milliseconds. */
  refuses(s: Syn, now: number): number {
    const why = this.#judge(s, now)
    if (why >= 0) this.#alarm.refused(now)
    return why
  }

  #judge(s: Syn, now: number): number {
    // First what decides for nearly all of a flood's.
    const calm = this.#all.take(now)
    if (!calm && !(this.#seenBefore(s, now) && this.#again.take(now))) return Counter.synFlood
    const six = s.family === 6
    const place = halfSipHash(this.#k0, this.#k1, s.family, s.r0, six ? s.r1 : 0, 0, 0, 0) % places
    const paidAt = Math.max(this.#paidAt[place], now)
    if (paidAt - now > ((sourceBurst - 1) * 1000) / sourceRate) {
      if (calm) this.#all.giveBack()
      return Counter.synSourceLimited
    }
    this.#paidAt[place] = paidAt + 1000 / sourceRate
    return -1
  }

  /** Whether this tuple's SYN came lately; from now on it has. */
  #seenBefore(s: Syn, now: number): boolean {
    const recent = this.#filter(now)
    const bit = halfSipHash(this.#k0, this.#k1, s.ports, s.r0, s.r1, s.r2, s.r3, s.family) % filterBits
    const mask = 1 << (bit & 31)
    const word = bit >>> 5
    const seen = ((recent[word] | (this.#older?.[word] ?? 0)) & mask) !== 0
    recent[word] |= mask
    return seen
  }

  /** The filter of now, after as many turns as are due. */
  #filter(now: number): Uint32Array {
    const age = now - this.#turnedAt
    if (this.#recent === undefined || age >= filterMs) {
      const spare = this.#older?.fill(0) ?? new Uint32Array(filterBits / 32)
      this.#older = this.#recent
      if (age >= 2 * filterMs) this.#older?.fill(0)
      this.#recent = spare
      this.#turnedAt = now
    }
    return this.#recent
  }
}
