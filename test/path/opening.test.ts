import t from 'tap'
import { Openings } from '../../src/path/opening.js'
import { Segment } from '../../src/path/segment.js'

const bytes = new Uint8Array(512 * 1024).map((_, i) => i)

interface Payload {
  at?: number
  length?: number
  segmentSize?: number
  bytes?: Uint8Array
}
const segment = ({ payload = {}, ...fields }: Partial<Omit<Segment, 'payload'>> & { payload?: Payload }): Segment => {
  const s = Object.assign(new Segment(), { family: 4, ports: 1, r0: 2, ...fields })
  Object.assign(s.payload, { bytes, ...payload })
  return s
}

t.test('key: one per tuple', async t => {
  const key = (fields: Parameters<typeof segment>[0]) => Openings.key(segment(fields))
  const keys = [{}, { ports: 3 }, { r0: 3 }, { r1: 3 }, { r2: 3 }, { r3: 3 }, { family: 6 }, { r1: 2, r0: 0 }].map(key)
  t.equal(new Set(keys).size, keys.length)
  t.equal(key({ seq: 5 }), key({ seq: 6, ack: 7 }))
})

t.test('holds payload in order, as copies', async t => {
  const openings = new Openings()
  const s = segment({ seq: 1, ack: 100, ports: -9, r0: -1, r3: 4, family: 6 })
  const key = Openings.key(s)
  const opening = openings.begin(key, s, 5)
  if (opening === undefined) return t.fail('refused')
  t.equal(openings.size, 1)
  t.equal(openings.get(key), opening)
  t.match(opening, { key, since: 5, seq: 1, ack: 100, bytes: 0, held: [] })
  t.strictSame(opening.tuple, { family: 6, ports: -9, r0: -1, r1: 0, r2: 0, r3: 4 })
  t.ok(openings.hold(opening, s), 'no payload: nothing to hold')
  t.equal(opening.held.length, 0)
  const memory = bytes.slice(0, 100)
  const first = { at: 10, length: 3, segmentSize: 3, bytes: memory }
  const second = { at: 50, length: 9, segmentSize: 4, bytes: memory }
  t.ok(openings.hold(opening, segment({ seq: 1, ack: 100, payload: first })))
  t.ok(openings.hold(opening, segment({ seq: 4, ack: 101, payload: second })))
  memory.fill(0)
  t.strictSame(
    opening.held.map(held => ({ ...held, bytes: [...held.bytes] })),
    [
      { bytes: [10, 11, 12], segmentSize: 3, seq: 1, ack: 100 },
      { bytes: [50, 51, 52, 53, 54, 55, 56, 57, 58], segmentSize: 4, seq: 4, ack: 101 },
    ],
  )
  t.equal(openings.finish(key), opening)
  t.equal(openings.finish(key), undefined, 'once')
  t.equal(openings.size, 0)
})

t.test('bounded in bytes, each and in all', async t => {
  const mebibyte = 1024 * 1024
  const openings = new Openings()
  const s = segment({ payload: { length: 65_000, segmentSize: 1000 } })
  const opening = openings.begin('a', s, 0)!
  for (let i = 0; i < 16; i++) t.ok(openings.hold(opening, s))
  t.notOk(openings.hold(opening, s))
  t.ok(openings.hold(opening, segment({ payload: { length: mebibyte - 16 * 65_000 } })), 'to the last byte')
  t.notOk(openings.hold(opening, segment({ payload: { length: 1 } })))
  t.equal(opening.bytes, mebibyte)
  t.equal(
    opening.held.reduce((sum, held) => sum + held.bytes.length, 0),
    opening.bytes,
  )
  const half = segment({ payload: { length: 32 * 1024 } })
  for (let i = 0; i < 15; i++) {
    const other = openings.begin(`b${i}`, s, 0)!
    while (openings.hold(other, half));
    t.equal(other.bytes, mebibyte, 'each for itself')
  }
  const late = openings.begin('late', s, 0)!
  t.notOk(openings.hold(late, half), '16 MiB in all')
  openings.finish('a')
  t.ok(openings.hold(late, half), 'until one is answered')
})

t.test('bounded in number; those that nobody answered give way', async t => {
  const openings = new Openings()
  const s = segment({})
  let begun = 0
  for (let i = 0; i < 16_384; i++) if (openings.begin(`${i}`, s, i < 10 ? 0 : 3000) !== undefined) begun++
  t.equal(begun, 16_384)
  t.equal(openings.begin('more', s, 4999), undefined)
  t.equal(openings.size, 16_384)
  t.equal(openings.begin('more', s, 5000), undefined, 'patience lasts 5 s')
  const opening = openings.begin('more', s, 5001)
  t.ok(opening)
  t.equal(openings.size, 16_384 - 10 + 1)
  t.equal(openings.get('0'), undefined)
  t.equal(openings.get('more'), opening)
})
