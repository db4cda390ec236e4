import fc from 'fast-check'
import t from 'tap'
import { Arrivals } from '../../src/demo/arrivals.js'

t.test('like a set', async t => {
  const count = 40
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: count + 5 })),
      fc.integer({ min: 1, max: 50 }),
      (sequences, most) => {
        const arrivals = new Arrivals(count)
        const set = new Set<number>()
        for (const sequence of sequences) {
          const fresh = sequence < count && !set.has(sequence)
          t.equal(arrivals.add(sequence), fresh)
          if (fresh) set.add(sequence)
        }
        t.equal(arrivals.received, set.size)
        t.equal(arrivals.next, Math.max(-1, ...set) + 1)
        t.equal(arrivals.complete, set.size === count)
        const absent = Array.from({ length: count }, (_, i) => i).filter(i => !set.has(i))
        const ranges = arrivals.missing(most)
        t.ok(ranges.length <= most)
        const named = ranges.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i))
        t.strictSame(named, absent.slice(0, named.length))
        if (ranges.length < most) t.equal(named.length, absent.length, 'all are named')
      },
    ),
  )
})

t.test('nothing to wait for', async t => {
  t.ok(new Arrivals(0).complete)
  t.strictSame(new Arrivals(0).missing(9), [])
})
