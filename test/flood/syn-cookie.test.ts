import fc from 'fast-check'
import t from 'tap'
import { halfSipHash, SynCookies } from '../../src/flood/syn-cookie.js'

/**
 * HalfSipHash-2-4 with 32-bit output as its paper describes it: over bytes, little-endian words, the length in the last byte. Numbers
 * are BigInts, so nothing here shares a sign or shift mistake with the fast one.
 */
const naiveHalfSipHash = (key: readonly number[], message: readonly number[]): number => {
  const mask = 0xffffffffn
  const word = (bytes: readonly number[], at: number) =>
    [0, 1, 2, 3].reduce((sum, i) => sum + (BigInt(bytes[at + i]) << BigInt(8 * i)), 0n)
  const rotate = (x: bigint, by: bigint) => ((x << by) | (x >> (32n - by))) & mask
  const k0 = word(key, 0)
  const k1 = word(key, 4)
  let [v0, v1, v2, v3] = [k0, k1, 0x6c796765n ^ k0, 0x74656462n ^ k1]
  const rounds = (count: number) => {
    for (let i = 0; i < count; i++) {
      v0 = (v0 + v1) & mask
      v1 = rotate(v1, 5n) ^ v0
      v0 = rotate(v0, 16n)
      v2 = (v2 + v3) & mask
      v3 = rotate(v3, 8n) ^ v2
      v0 = (v0 + v3) & mask
      v3 = rotate(v3, 7n) ^ v0
      v2 = (v2 + v1) & mask
      v1 = rotate(v1, 13n) ^ v2
      v2 = rotate(v2, 16n)
    }
  }
  const left = message.slice(message.length & ~3)
  const tail = [...left, ...new Array<number>(3 - left.length).fill(0), message.length & 0xff]
  const whole = [...message.slice(0, message.length & ~3), ...tail]
  for (let at = 0; at < whole.length; at += 4) {
    v3 ^= word(whole, at)
    rounds(2)
    v0 ^= word(whole, at)
  }
  v2 ^= 0xffn
  rounds(4)
  return Number(v1 ^ v3)
}

const bytesOf = (words: readonly number[]): number[] => [...new Uint8Array(Int32Array.from(words).buffer)]
const upTo = (length: number): number[] => Array.from({ length }, (_, i) => i)
const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })

t.test('the reference vectors', async t => {
  // vectors_hsip32 of github.com/veorq/SipHash (CC0): key 00 … 07, message 00, 01, 02 … of this length.
  const vectors: Record<number, number> = {
    0: 0x5b9f35a9,
    1: 0xb85a4727,
    2: 0x03a662fa,
    3: 0x04e7fe8a,
    4: 0x89466e2a,
    7: 0xc563cf8b,
    8: 0x8f84b8d0,
    15: 0x972bfe74,
    16: 0x84acb5d9,
    23: 0xbdb8ade6,
    24: 0x630c4027,
    25: 0x75787826,
    63: 0x744aea59,
  }
  for (const [length, expected] of Object.entries(vectors)) {
    t.equal(naiveHalfSipHash(upTo(8), upTo(Number(length))), expected, `the naive one, ${length} bytes`)
  }
  const [k0, k1] = new Int32Array(Uint8Array.from(upTo(8)).buffer)
  const m = new Int32Array(Uint8Array.from(upTo(24)).buffer)
  t.equal(halfSipHash(k0, k1, m[0], m[1], m[2], m[3], m[4], m[5]), vectors[24])
})

t.test('equals the naive one', async () => {
  fc.assert(
    fc.property(word, word, fc.array(word, { minLength: 6, maxLength: 6 }), (k0, k1, m) => {
      const hash = halfSipHash(k0, k1, m[0], m[1], m[2], m[3], m[4], m[5])
      return hash === naiveHalfSipHash(bytesOf([k0, k1]), bytesOf(m)) && hash >= 0
    }),
    { numRuns: 1000 },
  )
})

type Tuple = [ports: number, r0: number, r1: number, r2: number, r3: number]
const tuple = fc.tuple(word, word, word, word, word)
const now = fc.nat({ max: 2 ** 40 })
const epoch = 64_000

t.test('accepted in its epoch and the next, refused later', async () => {
  const cookies = new SynCookies(Int32Array.of(1, 2))
  fc.assert(
    fc.property(tuple, now, fc.nat({ max: 4 * epoch }), (tuple: Tuple, now, later) => {
      const cookie = cookies.make(...tuple, now)
      const age = Math.floor((now + later) / epoch) - Math.floor(now / epoch)
      const expected = age <= 1 ? cookie : -1
      return (
        cookies.check(...tuple, cookie + 1, now + later) === expected &&
        // From a stock client that saw a duplicate of our SYN+ACK.
        cookies.check(...tuple, cookie, now + later) === expected
      )
    }),
    { numRuns: 1000 },
  )
})

t.test('lives for 64 to 128 seconds', async t => {
  const cookies = new SynCookies(Int32Array.of(3, 4))
  const tuple: Tuple = [1, 2, 0, 0, 0]
  for (const made of [epoch * 9, epoch * 9 + 1, epoch * 10 - 1]) {
    const cookie = cookies.make(...tuple, made)
    t.equal(cookies.check(...tuple, cookie + 1, epoch * 11 - 1), cookie)
    t.equal(cookies.check(...tuple, cookie + 1, epoch * 11), -1)
  }
})

t.test('refused for any other tuple, key or number', async () => {
  const cookies = new SynCookies(Int32Array.of(5, 6))
  const others = new SynCookies(Int32Array.of(5, 7))
  const near = fc.integer({ min: -1000, max: 1000 }).filter(by => by !== 0 && by !== 1)
  fc.assert(
    fc.property(tuple, fc.nat({ max: 4 }), fc.nat({ max: 31 }), near, now, (tuple: Tuple, at, bit, by, now) => {
      const ack = cookies.make(...tuple, now) + 1
      const other: Tuple = [...tuple]
      other[at] ^= 1 << bit
      return (
        cookies.check(...other, ack, now) === -1 &&
        others.check(...tuple, ack, now) === -1 &&
        cookies.check(...tuple, (ack - 1 + by) >>> 0, now) === -1
      )
    }),
    { numRuns: 1000, seed: 1 },
  )
})

t.test('fits the wire, and is never 0xffffffff', async t => {
  // Found by trying all ports: with this key and at this time the hash itself is 0xffffffff.
  const cookies = new SynCookies(Int32Array.of(2, 2))
  const unlucky: Tuple = [-78_040_678, 1, 0, 0, 0]
  t.equal(halfSipHash(2, 2, ...unlucky, 0), 0xffffffff)
  t.equal(cookies.make(...unlucky, 0), 0xfffffffe)
  t.equal(cookies.check(...unlucky, 0xffffffff, 0), 0xfffffffe)
  t.equal(cookies.check(...unlucky, 0xfffffffe, 0), 0xfffffffe)
  t.equal(cookies.check(...unlucky, 0, 0), -1)
  fc.assert(
    fc.property(tuple, now, (tuple: Tuple, now) => {
      const cookie = cookies.make(...tuple, now)
      return Number.isInteger(cookie) && cookie >= 0 && cookie < 0xffffffff
    }),
  )
})
