/**
 * SYN cookies. The initial sequence number of our SYN+ACK is a keyed hash of the tuple and the time, so the stack keeps
 * nothing for a SYN. All 32 bits are hash: the client's own number is always 0 (docs/protocol.md), and its options
 * carry nothing that we need.
 */
import type { Tuple } from '../memory/tuple.js'
import { halfSipHash, putTuple } from './half-sip-hash.js'
import { cookieEpochMs } from './limits.js'

export class SynCookies {
  readonly #k0: number
  readonly #k1: number
  readonly #message = new Int32Array(6)

  /** `key`: two secret words, the same in every worker of a stack. */
  constructor(key: Int32Array) {
    this.#k0 = key[0]
    this.#k1 = key[1]
  }

  /**
   * The initial sequence number that answers a SYN of this tuple at `now` (milliseconds). Never 0xffffffff: a stock
   * client cannot take that.
   */
  make(tuple: Tuple, now: number): number {
    return this.#hash(tuple, epochOf(now))
  }

  /**
   * The cookie that `ack` answers, or -1 when it answers none of this tuple. The cookie must have been made in this
   * epoch or the one before. `ack` is the cookie + 1. From a stock client that saw our SYN+ACK twice it is the cookie
   * itself.
   */
  check(tuple: Tuple, ack: number, now: number): number {
    const epoch = epochOf(now)
    for (let age = 0; age < 2; age++) {
      const cookie = this.#hash(tuple, epoch - age)
      if (ack === cookie + 1 || ack === cookie) return cookie
    }
    return -1
  }

  #hash(tuple: Tuple, epoch: number): number {
    const message = this.#message
    putTuple(message, tuple)
    message[5] = epoch
    const cookie = halfSipHash(this.#k0, this.#k1, message)
    return cookie === 0xffffffff ? 0xfffffffe : cookie
  }
}

const epochOf = (now: number): number => Math.floor(now / cookieEpochMs)
