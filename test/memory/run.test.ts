import fc from 'fast-check'
import t from 'tap'
import { Run } from '../../src/memory/run.js'

/** Lengths of the datagrams in `length` bytes of `segmentSize` each. */
const cut = (length: number, segmentSize: number): number[] =>
  Array.from({ length: Math.ceil(length / segmentSize) }, (_, i) => Math.min(segmentSize, length - i * segmentSize))

/** What the kernel makes of a run: its pieces end to end, cut every `segmentSize` bytes. The byte offsets of each datagram. */
const datagrams = (run: Run): number[][] => {
  const bytes: number[] = []
  for (let i = 0; i < run.pieces; i++) {
    const at = run.vec[2 * i]
    const length = run.vec[2 * i + 1]
    for (let b = 0; b < length; b++) bytes.push(at + b)
  }
  return cut(bytes.length, run.segmentSize).map((length, i) =>
    bytes.slice(i * run.segmentSize, i * run.segmentSize + length),
  )
}

const open = (maxBytes: number, maxPieces = 8) => {
  const run = new Run(maxPieces)
  run.reset(maxBytes)
  return run
}

t.test('what belongs together', async t => {
  const run = open(1000)
  t.equal(run.count, 0)
  t.ok(run.add(5000, 100, 100))
  t.ok(run.add(7000, 300, 100), 'a super-packet of the same size')
  t.ok(run.add(9000, 40, 40), 'a shorter one, which is the last')
  t.equal(run.count, 5)
  t.notOk(run.add(1, 40, 40), 'nothing after a shorter one')
  t.notOk(run.add(1, 100, 100))
  t.strictSame([run.pieces, run.bytes, run.segmentSize], [3, 440, 100], 'unchanged by what was refused')
  t.strictSame([...run.vec.subarray(0, 6)], [5000, 100, 7000, 300, 9000, 40], 'pairs')
  run.reset(1000)
  t.strictSame([run.pieces, run.bytes, run.count], [0, 0, 0])
  t.ok(run.add(0, 40, 40), 'a new run has a size of its own')
  t.notOk(run.add(40, 41, 41), 'larger than the first')
  t.notOk(run.add(40, 80, 20), 'several smaller ones')
})

t.test('a super-packet with a shorter tail ends the run', async t => {
  const run = open(1000)
  t.ok(run.add(0, 250, 100))
  t.notOk(run.add(250, 100, 100))
  t.equal(run.count, 3)
})

t.test('limits', async t => {
  const run = open(250, 2)
  t.ok(run.add(0, 100, 100))
  t.notOk(run.add(100, 151, 100), 'more bytes than the run may hold')
  t.ok(run.add(100, 100, 100))
  t.notOk(run.add(200, 50, 50), 'more pieces than the vector has room for')
  t.equal(run.count, 2)
  t.equal(run.vec.length, 4)
})

t.test('what was accepted can be cut back into exactly the datagrams that were added', async () => {
  const size = fc.oneof(fc.constantFrom(10, 20), fc.integer({ min: 1, max: 40 }))
  const piece = fc.tuple(size, fc.integer({ min: 1, max: 90 }))
  fc.assert(
    fc.property(
      fc.array(piece, { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 90, max: 400 }),
      fc.integer({ min: 1, max: 10 }),
      (pieces, maxBytes, maxPieces) => {
        const run = open(maxBytes, maxPieces)
        const expected: number[][] = []
        let at = 1000
        for (const [segmentSize, length] of pieces) {
          const before = [run.pieces, run.bytes, run.segmentSize]
          if (run.add(at, length, segmentSize)) {
            let from = at
            for (const bytes of cut(length, segmentSize)) {
              expected.push(Array.from({ length: bytes }, (_, i) => from + i))
              from += bytes
            }
          } else if (`${before}` !== `${[run.pieces, run.bytes, run.segmentSize]}`) {
            return false
          }
          // Pieces never touch, so that a wrong offset shows.
          at += length + 7
        }
        return (
          JSON.stringify(datagrams(run)) === JSON.stringify(expected) &&
          run.count === expected.length &&
          run.bytes <= maxBytes &&
          run.pieces <= maxPieces
        )
      },
    ),
    { numRuns: 5000 },
  )
})

t.test('equal datagrams always gather', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 8 }), (size, count) => {
      const run = open(size * count)
      for (let i = 0; i < count; i++) if (!run.add(i * size, size, size)) return false
      return run.count === count
    }),
  )
})
