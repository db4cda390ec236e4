import fc from 'fast-check'
import t from 'tap'
import { datagramsIn, mayFollow, Span } from '../../src/memory/span.js'

/** The datagrams' own lengths. */
const lengths = (length: number, segmentSize: number): number[] => {
  const found: number[] = []
  for (let left = length; left > 0; left -= segmentSize) found.push(Math.min(left, segmentSize))
  return found
}

const size = fc.integer({ min: 1, max: 50 })
const length = fc.integer({ min: 1, max: 200 })

t.test('how many datagrams', async t => {
  for (const [length, segmentSize, count] of [
    [100, 100, 1],
    [99, 100, 1],
    [101, 100, 2],
    [65_535, 1, 65_535],
    [0, 100, 1],
  ]) {
    t.equal(datagramsIn(length, segmentSize), count, `${length} bytes of ${segmentSize}`)
  }
  fc.assert(fc.property(length, size, (length, size) => datagramsIn(length, size) === lengths(length, size).length))
})

t.test('what may follow: together they can be cut into the same datagrams again', async t => {
  t.ok(mayFollow(200, 100, 300, 100))
  t.ok(mayFollow(200, 100, 40, 40), 'a shorter one, which becomes the last')
  t.notOk(mayFollow(240, 100, 100, 100), 'nothing after a shorter one')
  t.notOk(mayFollow(200, 100, 101, 101), 'a larger one')
  t.notOk(mayFollow(200, 100, 80, 40), 'several shorter ones')
  fc.assert(
    fc.property(length, size, length, size, (bytes, size, more, moreSize) => {
      const apart = [...lengths(bytes, size), ...lengths(more, moreSize)]
      return mayFollow(bytes, size, more, moreSize) === (`${apart}` === `${lengths(bytes + more, size)}`)
    }),
    { numRuns: 10_000 },
  )
})

t.test('a span over all of an array', async t => {
  const bytes = new Uint8Array(250)
  const span = new Span()
  t.equal(span.over(bytes, 100), span)
  t.match(span, { memory: bytes, bytes, at: 0, length: 250, segmentSize: 100, count: 3 })
  t.equal(span.over(bytes.subarray(0, 7), 100).count, 1)
})
