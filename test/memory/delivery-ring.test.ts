import fc from 'fast-check'
import t from 'tap'
import { Delivery, DeliveryRing } from '../../src/memory/delivery-ring.js'
import { runThread } from '../support/threads.js'
import type { RingAnswer, RingTask } from './delivery-ring-worker.js'

/** Words on either side that belong to nobody. */
const guard = 16
const headerWords = DeliveryRing.bytesFor(0) / 4
const untouched = 0x5a5a5a5a

/** An empty ring whose positions stand at `start`. Producer and consumer are objects of their own, as in two threads. */
const openRing = (capacity: number, start = 0) => {
  const ringWords = DeliveryRing.bytesFor(capacity) / 4
  const shared = new SharedArrayBuffer((guard + ringWords + guard) * 4)
  const all = new Int32Array(shared).fill(untouched)
  // What lay in the records before must not matter; what lies in the header are the positions.
  all.fill(-1, guard, guard + ringWords)
  all.fill(0, guard, guard + headerWords)
  all[guard] = all[guard + 32] = start
  return {
    attach: () => new DeliveryRing(shared, guard * 4, capacity),
    intact: () => [...all.subarray(0, guard), ...all.subarray(guard + ringWords)].every(word => word === untouched),
  }
}

/** Each word of a record its own. */
const wordsOf = (number: number): number[] => Array.from({ length: Delivery.words }, (_, i) => number * 8 + i)

const put = (ring: DeliveryRing, number: number): boolean => {
  const record = ring.reserve()
  if (record < 0) return false
  ring.words.set(wordsOf(number), record)
  ring.commit()
  return true
}

/** The number of the oldest record, which stays; undefined: there is none. */
const look = (ring: DeliveryRing): number | undefined => {
  const record = ring.peek()
  if (record < 0) return undefined
  const words = ring.words.subarray(record, record + Delivery.words)
  const number = words[0] / 8
  if (`${words}` !== `${wordsOf(number)}`) throw new Error(`not a whole record: ${words}`)
  return number
}

const take = (ring: DeliveryRing): number | undefined => {
  const number = look(ring)
  if (number !== undefined) ring.release()
  return number
}

t.test('a bad capacity is refused', async t => {
  const shared = new SharedArrayBuffer(DeliveryRing.bytesFor(64))
  for (const capacity of [0, 3, 63, 65, 2 ** 25, 64.5, Number.NaN, -64]) {
    t.throws(() => new DeliveryRing(shared, 0, capacity), RangeError, String(capacity))
  }
  t.equal(new DeliveryRing(shared, 0, 64).words.length, 64 * Delivery.words)
  t.equal(DeliveryRing.bytesFor(64), 256 + 64 * 32)
})

t.test('one record after the other', async t => {
  const { attach } = openRing(8)
  const [producer, consumer] = [attach(), attach()]
  t.equal(take(consumer), undefined)
  t.ok(put(producer, 1))
  t.ok(put(producer, 2))
  t.equal(look(consumer), 1)
  t.equal(look(consumer), 1, 'it stays until it is released')
  t.equal(take(consumer), 1)
  t.equal(take(consumer), 2)
  t.equal(take(consumer), undefined)
})

t.test('nothing is seen before commit', async t => {
  const { attach } = openRing(8)
  const [producer, consumer] = [attach(), attach()]
  const record = producer.reserve()
  producer.words.set(wordsOf(1), record)
  t.equal(consumer.peek(), -1)
  t.equal(producer.reserve(), record, 'a reservation that was given up is made again')
  t.ok(put(producer, 2))
  t.equal(take(consumer), 2)
  t.equal(take(consumer), undefined)
})

t.test('a full ring refuses the newest, until there is room again', async t => {
  for (const start of [0, 3, 2 ** 31 - 2, 2 ** 32 - 2]) {
    const { attach } = openRing(4, start)
    const [producer, consumer] = [attach(), attach()]
    for (const number of [0, 1, 2, 3]) t.ok(put(producer, number))
    t.notOk(put(producer, 4))
    t.notOk(put(producer, 5))
    t.equal(take(consumer), 0)
    t.ok(put(producer, 6))
    t.notOk(put(producer, 7))
    t.same(
      [1, 2, 3, 4, 5].map(() => take(consumer)),
      [1, 2, 3, 6, undefined],
      `from ${start}`,
    )
  }
})

t.test('one record of room', async t => {
  const { attach } = openRing(1)
  const [producer, consumer] = [attach(), attach()]
  for (const number of [1, 2, 3]) {
    t.ok(put(producer, number))
    t.notOk(put(producer, 9))
    t.equal(take(consumer), number)
  }
})

const capacity = 4

/** The ring as it should be: the numbers of the records in it. */
interface Model {
  records: number[]
  next: number
}
interface Real {
  producer: DeliveryRing
  consumer: DeliveryRing
  attach(): DeliveryRing
  intact(): boolean
}

const expect = <T>(found: T, wanted: T, what: string) => {
  if (found !== wanted) throw new Error(`${what}: ${found} instead of ${wanted}`)
}

const steps: Record<string, (model: Model, real: Real) => void> = {
  put: (model, { producer }) => {
    const number = model.next++
    expect(put(producer, number), model.records.length < capacity, 'put')
    if (model.records.length < capacity) model.records.push(number)
  },
  'give a reservation up': (model, { producer }) => {
    const record = producer.reserve()
    expect(record >= 0, model.records.length < capacity, 'reserve')
    if (record >= 0) producer.words.fill(-7, record, record + Delivery.words)
  },
  look: (model, { consumer }) => expect(look(consumer), model.records[0], 'look'),
  take: (model, { consumer }) => expect(take(consumer), model.records.shift(), 'take'),
  // A thread that replaces another one goes on where it stopped.
  'new producer': (_, real) => {
    real.producer = real.attach()
  },
  'new consumer': (_, real) => {
    real.consumer = real.attach()
  },
}

const commands = fc.commands(
  Object.entries(steps).map(([name, step]) =>
    fc.constant<fc.Command<Model, Real>>({
      check: () => true,
      run: (model, real) => {
        step(model, real)
        expect(real.intact(), true, 'the memory around it is as it was')
      },
      toString: () => name,
    }),
  ),
  { maxCommands: 120, size: 'max' },
)

t.test('any sequence of steps, as a plain array would do it, across the wrap of the positions too', async () => {
  const starts = fc.constantFrom(0, 1, 2 ** 31 - 3, 2 ** 31 - 30, 2 ** 32 - 1, 2 ** 32 - 6, 2 ** 32 - 30)
  fc.assert(
    fc.property(starts, commands, (start, sequence) => {
      fc.modelRun(() => {
        const { attach, intact } = openRing(capacity, start)
        return {
          model: { records: [], next: 1 },
          real: { producer: attach(), consumer: attach(), attach, intact },
        }
      }, sequence)
    }),
    { numRuns: 1000 },
  )
})

t.test('a long run crosses 2^32', async t => {
  const { attach } = openRing(32, 2 ** 32 - 50_000)
  const [producer, consumer] = [attach(), attach()]
  let wrong = 0
  for (let number = 0; number < 100_000; number++) {
    if (!put(producer, number) || take(consumer) !== number) wrong++
  }
  t.equal(wrong, 0)
})

t.test('two threads, a ring that wraps all the time', async t => {
  for (const [capacity, records] of [
    [1, 5000],
    [16, 20_000],
    [128, 200_000],
  ]) {
    const shared = new SharedArrayBuffer(DeliveryRing.bytesFor(capacity))
    // The positions cross 2^32 on the way.
    new Int32Array(shared)[0] = new Int32Array(shared)[32] = -(records >> 1)
    const ready = new Int32Array(new SharedArrayBuffer(4)).fill(2)
    const file = new URL('delivery-ring-worker.js', import.meta.url)
    const run = (role: RingTask['role']) =>
      runThread<RingAnswer>(file, { role, shared, capacity, records, ready } satisfies RingTask)
    const [produced, consumed] = await Promise.all([run('produce'), run('consume')])
    t.equal(produced.fault, '')
    t.equal(consumed.fault, '')
    t.equal(new DeliveryRing(shared, 0, capacity).peek(), -1, 'nothing is left')
    t.comment(`${records} records, ${produced.waits} times full, ${consumed.waits} times empty`)
  }
})
