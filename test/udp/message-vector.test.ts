import t from 'tap'
import { Message } from '../../src/native.js'
import { MessageVector } from '../../src/udp/message-vector.js'
import { type Route, unaddressed } from '../../src/udp/route.js'

const route = (port: number): Route =>
  ({ port, address: unaddressed, local: unaddressed, scope: 0 }) as unknown as Route

const pieces = (vector: MessageVector, message: number): [number, number][] => {
  const found: [number, number][] = []
  vector.eachPiece(message, (at, length) => found.push([at, length]))
  return found
}

t.test('messages and their pieces', async t => {
  const vector = new MessageVector()
  const [first, second] = [route(1), route(2)]
  vector.begin(first, 100)
  vector.piece(5_000, 300)
  vector.piece(9_000, 40)
  vector.begin(second, 70)
  vector.piece(7, 70)
  t.equal(vector.count, 2)
  t.equal(vector.at(1), Message.words)
  t.same([pieces(vector, 0), pieces(vector, 1)], [[[5_000, 300], [9_000, 40]], [[7, 70]]]) // biome-ignore format: pairs
  t.same([vector.datagrams(0), vector.datagrams(1)], [4, 1])
  t.same([vector.segmentSize(0), vector.segmentSize(1)], [100, 70])
  t.same([vector.route(0), vector.route(1)], [first, second])
  vector.clear()
  t.equal(vector.count, 0)
  vector.begin(second, 10)
  vector.piece(1, 2)
  t.same(pieces(vector, 0), [[1, 2]], 'nothing of what was there before')
})

t.test('full: of messages, and of pieces', async t => {
  const messages = new MessageVector()
  for (let i = 0; i < 128; i++) {
    t.notOk(messages.full)
    messages.begin(route(i), 10)
    messages.piece(i, 10)
  }
  t.ok(messages.full)
  t.same(pieces(messages, 127), [[127, 10]])
  const long = new MessageVector()
  long.begin(route(1), 10)
  for (let i = 0; i < 1_024; i++) long.piece(i * 10, 10)
  t.ok(long.full)
  t.equal(long.datagrams(0), 1_024)
})
