import fc from 'fast-check'
import t from 'tap'
import { TokenBucket } from '../../src/flood/token-bucket.js'

const taken = (bucket: TokenBucket, now: number, tries: number): number => {
  let count = 0
  for (let i = 0; i < tries; i++) if (bucket.take(now)) count++
  return count
}

t.test('a full bucket at the start, then the rate', async t => {
  const bucket = new TokenBucket(10, 3)
  t.equal(taken(bucket, 5000, 9), 3)
  t.notOk(bucket.take(5099))
  t.ok(bucket.take(5100), 'one per 100 ms')
  t.notOk(bucket.take(5100))
  t.equal(taken(bucket, 5300, 9), 2)
  t.equal(taken(bucket, 60_000, 9), 3, 'no more than the burst after a long rest')
  t.equal(taken(new TokenBucket(7), 0, 99), 7, 'burst is the rate unless told')
})

t.test('what is given back can be taken again', async t => {
  const bucket = new TokenBucket(1, 2)
  t.equal(taken(bucket, 0, 9), 2)
  bucket.giveBack()
  t.equal(taken(bucket, 0, 9), 1)
})

t.test('a clock that steps back gives nothing and takes nothing', async t => {
  const bucket = new TokenBucket(1000, 2)
  t.equal(taken(bucket, 100, 9), 2)
  t.equal(taken(bucket, 50, 9), 0)
  t.equal(taken(bucket, 100, 9), 0)
  t.equal(taken(bucket, 101, 9), 1)
})

t.test('in any span of time at most burst + rate × span', async () => {
  const steps = fc.array(fc.tuple(fc.nat({ max: 500 }), fc.nat({ max: 20 })), { maxLength: 60 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 100 }), steps, (rate, burst, steps) => {
      const bucket = new TokenBucket(rate, burst)
      let now = 1_000_000
      const passed: { at: number; count: number }[] = []
      for (const [ms, tries] of steps) {
        now += ms
        passed.push({ at: now, count: taken(bucket, now, tries) })
      }
      return passed.every((from, i) => {
        let sum = 0
        return passed.slice(i).every(({ at, count }) => {
          sum += count
          return sum <= burst + ((at - from.at) * rate) / 1000 + 1e-6
        })
      })
    }),
  )
})
