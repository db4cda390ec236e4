/**
 * SYN cookies: the server's initial sequence number is a keyed hash of the tuple and the time, so that a SYN needs no memory.
 * The client's own number is always 0 (docs/protocol.md), its options carry nothing we need, so all 32 bits are hash.
 *
 * A cookie lives for the rest of its epoch and one more: 64 to 128 s, longer than any client's retries.
 */
const epochSeconds = 64

/** HalfSipHash-2-4 with 32-bit output over five words (Aumasson & Bernstein; also Linux's `hsiphash` family). */
export const halfSipHash = (
  k0: number,
  k1: number,
  m0: number,
  m1: number,
  m2: number,
  m3: number,
  m4: number,
  m5: number,
): number => {
  state[0] = k0
  state[1] = k1
  state[2] = 0x6c796765 ^ k0
  state[3] = 0x74656462 ^ k1
  absorb(m0)
  absorb(m1)
  absorb(m2)
  absorb(m3)
  absorb(m4)
  absorb(m5)
  absorb(24 << 24)
  state[2] ^= 0xff
  round()
  round()
  round()
  round()
  return (state[1] ^ state[3]) >>> 0
}

const state = new Int32Array(4)

const absorb = (word: number): void => {
  state[3] ^= word
  round()
  round()
  state[0] ^= word
}

const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by))

const round = (): void => {
  let v0 = state[0]
  let v1 = state[1]
  let v2 = state[2]
  let v3 = state[3]
  v0 = (v0 + v1) | 0
  v1 = rotate(v1, 5) ^ v0
  v0 = rotate(v0, 16)
  v2 = (v2 + v3) | 0
  v3 = rotate(v3, 8) ^ v2
  v0 = (v0 + v3) | 0
  v3 = rotate(v3, 7) ^ v0
  v2 = (v2 + v1) | 0
  v1 = rotate(v1, 13) ^ v2
  v2 = rotate(v2, 16)
  state[0] = v0
  state[1] = v1
  state[2] = v2
  state[3] = v3
}

export class SynCookies {
  readonly #k0: number
  readonly #k1: number

  constructor(key: Int32Array) {
    this.#k0 = key[0]
    this.#k1 = key[1]
  }

  /** Initial sequence number for a SYN from this tuple at `now` (milliseconds). Never 0xffffffff, which a stock client cannot take. */
  make(ports: number, r0: number, r1: number, r2: number, r3: number, now: number): number {
    return this.#hash(ports, r0, r1, r2, r3, epochOf(now))
  }

  /**
   * Whether `ack` answers a cookie of this tuple made in this epoch or the last: it is cookie + 1, or the cookie itself from a
   * stock client that saw a duplicate of our SYN+ACK.
   */
  check(ports: number, r0: number, r1: number, r2: number, r3: number, ack: number, now: number): number {
    const epoch = epochOf(now)
    for (let age = 0; age < 2; age++) {
      const cookie = this.#hash(ports, r0, r1, r2, r3, epoch - age)
      if (ack === cookie + 1 || ack === cookie) return cookie
    }
    return -1
  }

  #hash(ports: number, r0: number, r1: number, r2: number, r3: number, epoch: number): number {
    const cookie = halfSipHash(this.#k0, this.#k1, ports, r0, r1, r2, r3, epoch)
    return cookie === 0xffffffff ? 0xfffffffe : cookie
  }
}

const epochOf = (now: number): number => Math.floor(now / 1000 / epochSeconds)
