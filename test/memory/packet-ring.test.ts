import fc from 'fast-check'
import t from 'tap'
import { PacketRing } from '../../src/memory/packet-ring.js'
import { runThread } from '../support/threads.js'
import { poison } from '../wire/packets.js'
import type { RingAnswer, RingTask } from './packet-ring-worker.js'

const guard = 64

/** A ring between two guards, empty at position `start`; producer and consumer are objects of their own, as in two threads. */
const openRing = (capacity: number, start = 0) => {
  const shared = new SharedArrayBuffer(guard + PacketRing.bytesFor(capacity) + guard)
  const all = new Uint8Array(shared).fill(poison)
  all.fill(0, guard, all.length - guard)
  const control = new Int32Array(shared, guard, 64)
  control[0] = control[32] = start
  // What lay in the record area before must not matter.
  all.fill(0xff, guard + PacketRing.bytesFor(0), all.length - guard)
  const attach = () => new PacketRing(shared, guard, capacity)
  const intact = () => [...all.subarray(0, guard), ...all.subarray(all.length - guard)].every(byte => byte === poison)
  return { producer: attach(), consumer: attach(), attach, intact }
}

const write = (ring: PacketRing, bytes: number[]): boolean => {
  const at = ring.reserve(bytes.length)
  if (at < 0) return false
  ring.bytes.set(bytes, at)
  ring.commit()
  return true
}
const read = (ring: PacketRing): number[] | undefined => {
  const at = ring.peek()
  if (at < 0) return undefined
  const bytes = [...ring.bytes.subarray(at, at + ring.length)]
  ring.release()
  return bytes
}

t.test('a bad capacity is refused', async t => {
  const shared = new SharedArrayBuffer(4096)
  for (const capacity of [0, 32, 63, 65, 100, 1000, 2 ** 31, 64.5, Number.NaN, -64]) {
    t.throws(() => new PacketRing(shared, 0, capacity), RangeError, String(capacity))
  }
  t.equal(new PacketRing(shared, 0, 64).maxRecord, 24)
  t.equal(PacketRing.bytesFor(64), 256 + 64)
})

t.test('one record after the other', async t => {
  const { producer, consumer } = openRing(256)
  t.equal(consumer.peek(), -1)
  t.ok(write(producer, [1, 2, 3]))
  t.ok(write(producer, []))
  t.strictSame(read(consumer), [1, 2, 3])
  t.strictSame(read(consumer), [], 'a record may be empty')
  t.equal(read(consumer), undefined)
  t.equal(producer.dropped, 0)
})

t.test('nothing is seen before commit, and a reservation can be replaced', async t => {
  const { producer, consumer } = openRing(256)
  producer.bytes[producer.reserve(100)] = 1
  t.equal(consumer.peek(), -1)
  t.ok(write(producer, [9]))
  t.strictSame(read(consumer), [9])
  t.equal(read(consumer), undefined)
})

t.test('largest record at every position', async t => {
  const capacity = 256
  for (let start = 0; start < capacity; start += 8) {
    const { producer, consumer, intact } = openRing(capacity, start)
    const bytes = Array.from({ length: producer.maxRecord }, (_, i) => i)
    t.ok(write(producer, bytes), `at ${start}`)
    t.strictSame(read(consumer), bytes)
    t.equal(producer.reserve(capacity - 7), -1, 'larger than the ring')
    t.equal(producer.reserve(capacity * 2), -1)
    t.equal(producer.dropped, 2)
    t.ok(intact())
  }
})

t.test('full: the newest is dropped and counted', async t => {
  const { producer, consumer } = openRing(64)
  for (let i = 0; i < 4; i++) t.ok(write(producer, [i]))
  for (let i = 4; i < 9; i++) t.notOk(write(producer, [i]))
  t.equal(producer.dropped, 5)
  t.equal(consumer.dropped, 5, 'any thread may read it')
  t.strictSame(read(consumer), [0])
  t.ok(write(producer, [10]), 'room again')
  for (const i of [1, 2, 3, 10]) t.strictSame(read(consumer), [i])
})

t.test('what was reserved too large gives the rest back', async t => {
  for (let start = 0; start < 128; start += 8) {
    const { producer, consumer } = openRing(128, start)
    const at = producer.reserve(producer.maxRecord)
    producer.bytes.set([1, 2, 3], at)
    producer.commit(3)
    t.ok(write(producer, [4]))
    t.strictSame(read(consumer), [1, 2, 3])
    t.strictSame(read(consumer), [4])
    const before = producer.reserve(0)
    producer.commit(0)
    t.equal(consumer.peek(), before)
    consumer.release()
    t.equal(consumer.peek(), -1)
  }
})

/** The ring as it should be: whole records, and the bytes they take from their end back to the record before. */
interface Model {
  position: number
  records: { bytes: number[]; taken: number }[]
  dropped: number
  next: number
}
interface Real {
  producer: PacketRing
  consumer: PacketRing
  attach(): PacketRing
  intact(): boolean
}
const capacity = 128
const padded = (length: number) => 8 + Math.ceil(length / 8) * 8
const used = (model: Model) => model.records.reduce((sum, { taken }) => sum + taken, 0)
const check = (holds: boolean, what: string) => {
  if (!holds) throw new Error(what)
}
type Command = fc.Command<Model, Real>
const command = (name: string, run: (model: Model, real: Real) => void): Command => ({
  check: () => true,
  run: (model, real) => {
    run(model, real)
    check(real.consumer.dropped === model.dropped, `dropped: ${real.consumer.dropped} for ${model.dropped}`)
    check(real.intact(), 'memory outside of the ring')
  },
  toString: () => name,
})
const produce = (reserved: number, kept: number, abandon: boolean) =>
  command(`produce(${reserved}, ${kept}, ${abandon})`, (model, { producer }) => {
    const toEnd = capacity - (model.position % capacity)
    const filler = padded(reserved) > toEnd ? toEnd : 0
    const fits = filler + padded(reserved) <= capacity - used(model)
    const at = producer.reserve(reserved)
    // Above `maxRecord` the ring may refuse although there is room.
    check(at >= 0 ? fits : !fits || reserved > producer.maxRecord, `reserve(${reserved}) gave ${at}`)
    if (at < 0) model.dropped++
    if (at < 0 || abandon) return
    check(at % 8 === 0 && at + reserved <= capacity, `offset ${at}`)
    const bytes = Array.from({ length: kept }, () => model.next++ & 0xff)
    producer.bytes.fill(0xee, at, at + reserved)
    producer.bytes.set(bytes, at)
    if (kept === reserved) producer.commit()
    else producer.commit(kept)
    const taken = filler + padded(kept)
    model.records.push({ bytes, taken })
    model.position += taken
  })
const consume = (release: boolean) =>
  command(`consume(${release})`, (model, { consumer }) => {
    const [oldest] = model.records
    const at = consumer.peek()
    check(at >= 0 === (oldest !== undefined), `peek gave ${at} for ${model.records.length} records`)
    if (oldest === undefined) return
    check(`${consumer.bytes.subarray(at, at + consumer.length)}` === `${oldest.bytes}`, 'content')
    check(consumer.words.byteOffset === consumer.bytes.byteOffset, 'words and bytes are the same memory')
    if (!release) return
    consumer.release()
    model.records.shift()
  })

const lengths = fc.oneof(fc.nat({ max: 16 }), fc.nat({ max: capacity / 2 - 8 }), fc.nat({ max: capacity + 8 }))
const commands = fc.commands(
  [
    fc
      .tuple(lengths, fc.nat({ max: capacity }), fc.integer({ min: 0, max: 9 }))
      .map(([reserved, kept, kind]) => produce(reserved, kind < 7 ? reserved : Math.min(kept, reserved), kind === 9)),
    fc.boolean().map(consume),
    fc.constant(consume(true)),
    // A thread that replaces another one goes on where it stopped.
    fc.constant(
      command('new producer', (_, real) => {
        real.producer = real.attach()
      }),
    ),
    fc.constant(
      command('new consumer', (_, real) => {
        real.consumer = real.attach()
      }),
    ),
  ],
  { maxCommands: 120, size: 'max' },
)

t.test('any sequence of calls, as a plain array would do it, across the wrap of the positions too', async () => {
  const starts = fc.constantFrom(0, 2 ** 32 - 8, 2 ** 32 - 64, 2 ** 32 - 200, 2 ** 31 - 8, 2 ** 31 - 120, 8, 120)
  fc.assert(
    fc.property(starts, commands, (start, sequence) => {
      const setup = () => ({
        model: { position: start, records: [], dropped: 0, next: 0 },
        real: openRing(capacity, start),
      })
      fc.modelRun(setup, sequence)
    }),
    { numRuns: 1000 },
  )
})

t.test('a long run crosses 2^32', async t => {
  const { producer, consumer } = openRing(1024, 2 ** 32 - 100_000 * 8)
  let lost = 0
  for (let i = 0; i < 100_000; i++) {
    const bytes = [i & 0xff, i >>> 8]
    if (!write(producer, bytes) || `${read(consumer)}` !== `${bytes.map(byte => byte & 0xff)}`) lost++
  }
  t.equal(lost, 0)
  t.equal(producer.dropped, 0)
})

t.test('two threads, 200,000 records, a ring that wraps all the time', async t => {
  for (const [capacity, records] of [
    [64, 5000],
    [1024, 20_000],
    [4096, 200_000],
  ]) {
    const shared = new SharedArrayBuffer(PacketRing.bytesFor(capacity))
    new Int32Array(shared)[0] = new Int32Array(shared)[32] = -65_536
    const ready = new Int32Array(new SharedArrayBuffer(4)).fill(2)
    const file = new URL('packet-ring-worker.js', import.meta.url)
    const run = (role: RingTask['role']) =>
      runThread<RingAnswer>(file, { role, shared, capacity, records, ready, seed: capacity } satisfies RingTask)
    const [produced, consumed] = await Promise.all([run('produce'), run('consume')])
    t.equal(produced.fault, '')
    t.equal(consumed.fault, '')
    t.equal(consumed.bytes, produced.bytes)
    const ring = new PacketRing(shared, 0, capacity)
    t.equal(ring.peek(), -1, 'nothing is left')
    t.equal(ring.dropped, produced.refused, 'every refusal was counted')
    t.comment(`${records} records, ${produced.bytes} bytes, ${produced.refused} refusals`)
  }
})
