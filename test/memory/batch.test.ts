import fc from 'fast-check'
import t from 'tap'
import { Batch } from '../../src/memory/batch.js'
import type { Place } from '../../src/memory/span.js'

/** Bytes that tell their place, so that a wrong offset shows. */
const bytes = Uint8Array.from({ length: 10_000 }, (_, i) => (i * 7) ^ (i >>> 8))

const open = (maxLength: number, maxPieces = 8) => {
  const batch = new Batch(maxPieces)
  batch.reset(0, bytes, maxLength)
  return batch
}

const place = (at: number, length: number, segmentSize = length): Place => ({ at, length, segmentSize })

const shape = ({ pieces, length, segmentSize, count }: Batch) => ({ pieces, length, segmentSize, count })

/** Each datagram that lies there. */
const cut = ({ at, length, segmentSize }: Place): Uint8Array[] => {
  const found: Uint8Array[] = []
  for (let from = at; from < at + length; from += segmentSize) {
    found.push(bytes.subarray(from, Math.min(from + segmentSize, at + length)))
  }
  return found
}

/** What the kernel makes of a batch: its pieces end to end, cut every `segmentSize` bytes. */
const gathered = ({ vec, pieces, segmentSize }: Batch): Uint8Array[] => {
  const all = Buffer.concat(
    Array.from({ length: pieces }, (_, i) => bytes.subarray(vec[2 * i], vec[2 * i] + vec[2 * i + 1])),
  )
  const found: Uint8Array[] = []
  for (let from = 0; from < all.length; from += segmentSize) found.push(all.subarray(from, from + segmentSize))
  return found
}

const same = (found: Uint8Array[], wanted: Uint8Array[]) =>
  found.length === wanted.length && found.every((one, i) => Buffer.compare(one, wanted[i]) === 0)

t.test('what belongs together', async t => {
  const batch = open(1000)
  t.same(shape(batch), { pieces: 0, length: 0, segmentSize: 0, count: 0 })
  t.same([...batch], [])
  t.ok(batch.add(place(5000, 100)))
  t.ok(batch.add(place(7000, 300, 100)), 'a super-packet of the same size')
  t.ok(batch.add(place(9000, 40)), 'a shorter one, which is the last')
  t.notOk(batch.add(place(1, 40)), 'nothing after a shorter one')
  t.notOk(batch.add(place(1, 100)))
  t.same(shape(batch), { pieces: 3, length: 440, segmentSize: 100, count: 5 }, 'unchanged by what was refused')
  t.same([...batch.vec.subarray(0, 6)], [5000, 100, 7000, 300, 9000, 40], 'pairs')
  t.ok(same([...batch], [...cut(place(5000, 100)), ...cut(place(7000, 300, 100)), ...cut(place(9000, 40))]))
})

t.test('an emptied batch takes another size, from another memory', async t => {
  const batch = open(1000)
  batch.add(place(0, 100))
  const other = bytes.slice(0, 500).fill(1)
  batch.reset(other, other, 200)
  t.same(shape(batch), { pieces: 0, length: 0, segmentSize: 0, count: 0 })
  t.ok(batch.add(place(0, 40)))
  t.notOk(batch.add(place(40, 41)), 'larger than the first')
  t.notOk(batch.add(place(40, 80, 20)), 'several smaller ones')
  t.equal(batch.memory, other)
  t.same([...batch], [other.subarray(0, 40)])
})

t.test('a super-packet with a shorter tail ends the batch', async t => {
  const batch = open(1000)
  t.ok(batch.add(place(0, 250, 100)))
  t.notOk(batch.add(place(250, 100)))
  t.equal(batch.count, 3)
})

t.test('limits', async t => {
  const batch = open(250, 2)
  t.ok(batch.add(place(0, 100)))
  t.notOk(batch.add(place(100, 151, 100)), 'more bytes than the batch may hold')
  t.ok(batch.add(place(100, 100)))
  t.notOk(batch.add(place(200, 50)), 'more pieces than the vector has room for')
  t.equal(batch.count, 2)
  t.equal(batch.vec.length, 4)
})

t.test('what was accepted can be cut back into exactly the datagrams that were added', async () => {
  const size = fc.oneof(fc.constantFrom(10, 20), fc.integer({ min: 1, max: 40 }))
  const piece = fc.tuple(size, fc.integer({ min: 1, max: 90 }))
  fc.assert(
    fc.property(
      fc.array(piece, { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 90, max: 400 }),
      fc.integer({ min: 1, max: 10 }),
      (pieces, maxLength, maxPieces) => {
        const batch = open(maxLength, maxPieces)
        const wanted: Uint8Array[] = []
        let at = 1000
        for (const [segmentSize, length] of pieces) {
          const before = JSON.stringify(shape(batch))
          if (batch.add({ at, length, segmentSize })) wanted.push(...cut({ at, length, segmentSize }))
          else if (JSON.stringify(shape(batch)) !== before) return false
          // Pieces never touch, so that a wrong offset shows.
          at += length + 7
        }
        return (
          same(gathered(batch), wanted) &&
          same([...batch], wanted) &&
          batch.count === wanted.length &&
          batch.length <= maxLength &&
          batch.pieces <= maxPieces
        )
      },
    ),
    { numRuns: 5000 },
  )
})

t.test('equal datagrams always gather', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 8 }), (size, count) => {
      const batch = open(size * count)
      for (let i = 0; i < count; i++) if (!batch.add(place(i * size, size))) return false
      return batch.count === count
    }),
  )
})
