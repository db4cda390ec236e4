import fc from 'fast-check'
import t from 'tap'
import { finish, fold, pseudo4, pseudo6, sum } from '../../src/wire/checksum.js'
import { guarded, long, naiveSum, placed, poisoned, word } from '../support/packets.js'

const halfWord = fc.oneof(fc.nat({ max: 0xffff }), fc.constantFrom(0, 1, 0xfffe, 0xffff))
const wholeWord = fc.oneof(fc.nat({ max: 0xffffffff }), fc.constantFrom(0, 0xffff, 0xffff0000, 0xffffffff))

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
