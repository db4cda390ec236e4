import fc from 'fast-check'
import t from 'tap'
import { finish, fold, pseudo4, pseudo6, sum, update, update32 } from '../../src/wire/checksum.js'
import { guarded, long, naiveChecksum, naiveSum, placed, poisoned, word } from '../support/packets.js'

const halfWord = fc.oneof(fc.nat({ max: 0xffff }), fc.constantFrom(0, 1, 0xfffe, 0xffff))
const wholeWord = fc.oneof(fc.nat({ max: 0xffffffff }), fc.constantFrom(0, 0xffff, 0xffff0000, 0xffffffff))

const replaced = (words: number[], i: number, value: number): number[] => words.map((old, j) => (j === i ? value : old))

t.test('every length 0 … 9001, at odd and even offsets, against the naive reference', async t => {
  const b = poisoned(9100)
  for (let i = 0; i < b.length; i++) b[i] = (i * 167 + (i >>> 5)) & 0xff
  let wrong = 0
  for (const at of [0, 1, 30, 33]) {
    for (let length = 0; length <= 9001; length++) {
      if (sum(b, at, length) !== naiveSum(b.subarray(at, at + length))) wrong++
    }
  }
  t.equal(wrong, 0)
})

t.test('the largest sums carry right', async t => {
  const b = new Uint8Array(131_073).fill(0xff)
  t.equal(sum(b, 0, 131_072, 0xffff), 0xffff)
  t.equal(sum(b, 1, 65_535, 0xffff), naiveSum(b.subarray(0, 65_535), 0xffff))
  t.equal(sum(new Uint8Array(131_072), 0, 131_072), 0, 'zero only for zero')
})

t.test('sum: random bytes, offset and initial value; reads nothing beside them', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 9 }), halfWord, (bytes, at, initial) => {
      const b = guarded(placed(bytes, at), at, at + bytes.length)
      return sum(b, at, bytes.length, initial) === naiveSum(bytes, initial)
    }),
  )
})

t.test('sums of parts add up, when the first has an even length', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 100 }), (bytes, half) => {
      const cut = Math.min(half * 2, bytes.length & ~1)
      return sum(bytes, cut, bytes.length - cut, sum(bytes, 0, cut)) === sum(bytes, 0, bytes.length)
    }),
  )
})

t.test('fold and finish', async t => {
  fc.assert(fc.property(wholeWord, n => fold(n) === naiveSum(long(n)) && finish(n) === 0xffff - fold(n)))
  t.equal(fold(0), 0)
  t.equal(fold(0xffff), 0xffff)
  t.equal(fold(0x10000), 1)
  t.equal(fold(0xffffffff), 0xffff)
})

t.test('pseudo-headers read the addresses where they stand', async () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 40, maxLength: 40 }),
      fc.nat({ max: 0xffff }),
      fc.nat({ max: 0x1ffff }),
      fc.constantFrom(6, 58),
      fc.nat({ max: 5 }),
      (bytes, length4, length6, protocol, at) => {
        const b = placed(bytes, at)
        const naive4 = naiveSum([...bytes.slice(12, 20), ...word(6), ...word(length4)])
        const naive6 = naiveSum([...bytes.slice(8, 40), ...long(length6), ...long(protocol)])
        return (
          pseudo4(b, at + 12, at + 16, length4) === naive4 &&
          pseudo6(b, at + 8, at + 24, length6, protocol) === naive6 &&
          pseudo6(b, at + 8, at + 24, length6) === naiveSum([...bytes.slice(8, 40), ...long(length6), ...long(6)])
        )
      },
    ),
  )
})

t.test('incremental update = full recompute', async t => {
  t.test('16 bit', async () => {
    fc.assert(
      fc.property(fc.array(halfWord, { minLength: 1, maxLength: 20 }), fc.nat(), halfWord, (words, pick, value) => {
        // A pseudo-header is never all zero; without that, 0x0000 and 0xffff are the same sum (next test).
        const before = [6, ...words]
        const i = 1 + (pick % words.length)
        const after = replaced(before, i, value)
        return update(naiveChecksum(before.flatMap(word)), before[i], value) === naiveChecksum(after.flatMap(word))
      }),
      { numRuns: 2000 },
    )
  })
  t.test('32 bit, signed or unsigned', async () => {
    fc.assert(
      fc.property(fc.array(wholeWord, { minLength: 1, maxLength: 20 }), fc.nat(), wholeWord, (words, pick, value) => {
        const before = [6, ...words]
        const i = 1 + (pick % words.length)
        const old = naiveChecksum(before.flatMap(long))
        const expected = naiveChecksum(replaced(before, i, value).flatMap(long))
        return update32(old, before[i], value) === expected && update32(old, before[i] | 0, value | 0) === expected
      }),
      { numRuns: 2000 },
    )
  })
  t.test('the corner RFC 1624 was written for', async t => {
    t.equal(update(0xdd2f, 0x5555, 0x3285), 0x0000, 'its example: not 0xffff, which RFC 1141 gives')
    t.equal(update(0x1234, 0x0000, 0xffff), 0x1234, 'both are zero in ones complement')
    t.equal(update(0x1234, 0xffff, 0x0000), 0x1234)
    t.equal(update(0, 0x1234, 0x1234), 0)
    t.equal(update32(0x1234, 0xffffffff, 0), 0x1234)
  })
})
