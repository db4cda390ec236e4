import fc from 'fast-check'
import t from 'tap'
import { add, after, distance } from '../../src/wire/serial.js'

const seq = fc.nat({ max: 0xffffffff })

t.test('distance is the signed difference modulo 2³²', async t => {
  fc.assert(
    fc.property(seq, seq, (from, to) => distance(from, to) === Number(BigInt.asIntN(32, BigInt(to) - BigInt(from)))),
  )
  t.equal(distance(0xffffffff, 0), 1)
  t.equal(distance(0, 0xffffffff), -1)
  t.equal(distance(5, 5), 0)
  t.equal(distance(0, 0x80000000), -0x80000000)
})

t.test('add undoes distance, and is unsigned', async t => {
  fc.assert(fc.property(seq, seq, (from, to) => add(from, distance(from, to)) === to))
  t.equal(add(0xfffffff0, 0x20), 0x10)
  t.equal(add(0, -1), 0xffffffff)
})

t.test('after: later by less than 2³¹', async t => {
  fc.assert(fc.property(seq, fc.integer({ min: 1, max: 0x7fffffff }), (s, n) => after(add(s, n), s)))
  fc.assert(fc.property(seq, fc.integer({ min: 1, max: 0x7fffffff }), (s, n) => !after(s, add(s, n))))
  t.notOk(after(7, 7), 'a number is not after itself')
  t.ok(after(8, 7))
  t.ok(after(0, 0xffffffff), 'across the wrap')
  fc.assert(fc.property(seq, s => !after(s, add(s, 0x80000000)) && !after(add(s, 0x80000000), s)))
})

t.test('signed words are as good as unsigned ones', async () => {
  fc.assert(
    fc.property(
      seq,
      seq,
      (a, b) =>
        distance(a | 0, b | 0) === distance(a, b) && after(a | 0, b) === after(a, b) && add(a | 0, 1) === add(a, 1),
    ),
  )
})
