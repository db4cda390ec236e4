import fc from 'fast-check'
import t from 'tap'
import {
  fileBytesAt,
  headerLength,
  helloLength,
  Kind,
  kindAt,
  maxRanges,
  numberAt,
  putHeader,
  putHello,
  putReport,
  reportAt,
  reportLength,
} from '../../src/demo/protocol.js'

const word = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const start = fc.integer({ min: 0, max: 3 })
const dirty = (): Uint8Array => new Uint8Array(1_500).fill(0xa5)

t.test('header', async t => {
  fc.assert(
    fc.property(fc.constantFrom(...Object.values(Kind)), word, start, (kind, number, at) => {
      const b = dirty()
      putHeader(b, at, kind, number)
      t.equal(kindAt(b, at, 1_400), kind)
      t.equal(numberAt(b, at), number)
      t.ok(b.subarray(0, at).every(byte => byte === 0xa5) && b[at + headerLength] === 0xa5, 'nothing else is touched')
    }),
  )
  const b = dirty()
  putHeader(b, 0, Kind.data, 0x01020304)
  t.equal(Buffer.from(b.subarray(0, 8)).toString('hex'), 'fd7c020001020304')
})

t.test('hello', async t => {
  fc.assert(
    fc.property(word, fc.maxSafeNat(), start, (question, fileBytes, at) => {
      const b = dirty()
      putHello(b, at, question, fileBytes)
      t.equal(kindAt(b, at, helloLength), Kind.hello)
      t.equal(numberAt(b, at), question)
      t.equal(fileBytesAt(b, at), fileBytes)
    }),
  )
})

t.test('report', async t => {
  const plain = { noNullPrototype: true } as const
  const range = fc.record({ first: word, count: word }, plain)
  const missing = fc.array(range, { maxLength: maxRanges, size: 'max' })
  const report = fc.record({ question: word, next: word, received: word, missing }, plain)
  fc.assert(
    fc.property(report, start, (expected, at) => {
      const b = dirty()
      const length = putReport(b, at, expected)
      t.equal(length, reportLength(expected.missing.length))
      t.ok(length <= 1_400)
      t.equal(kindAt(b, at, length), Kind.report)
      t.strictSame(reportAt(b, at, length), expected)
    }),
  )
})

t.test('what is not ours is no kind', async t => {
  const b = dirty()
  t.equal(kindAt(b, 0, 1_400), 0, 'no magic')
  const shortest = { hello: 16, data: 9, probe: 8, report: 16, ping: 8, pong: 8 }
  for (const [name, length] of Object.entries(shortest)) {
    const kind = Kind[name as keyof typeof Kind]
    putHeader(b, 0, kind, 1)
    t.equal(kindAt(b, 0, length), kind, name)
    t.equal(kindAt(b, 0, length - 1), 0, `${name}, too short`)
  }
  for (const kind of [0, 7, 255]) {
    putHeader(b, 0, kind, 1)
    t.equal(kindAt(b, 0, 1_400), 0, `kind ${kind}`)
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), bytes => {
      const kind = kindAt(bytes, 0, bytes.length)
      t.ok(kind === 0 || (bytes[0] === 0xfd && bytes[1] === 0x7c))
    }),
  )
})
