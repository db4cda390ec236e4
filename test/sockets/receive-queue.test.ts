import fc from 'fast-check'
import t, { type Test } from 'tap'
import { native } from '../../src/native.js'
import { ChunkPool } from '../../src/sockets/chunk-pool.js'
import { ReceiveQueue } from '../../src/sockets/receive-queue.js'
import { datagrams, difference, pattern } from '../support/datagrams.js'
import { type Delivered, TestLane } from '../support/lanes.js'
import { spanAt } from '../support/spans.js'

/** A queue on a lane of its own. */
const open = (t: Test, limit: number, blocks = 4) => {
  const lane = openLane(t, blocks)
  return { lane, queue: new ReceiveQueue(new ChunkPool(), limit) }
}
const openLane = (t: Test, blocks: number) => {
  const lane = new TestLane(blocks)
  t.teardown(() => lane.close())
  return lane
}

/** A delivery: `count` datagrams of `size` bytes, the last one of `last`. Undefined when the lane is full. */
const arrive = (lane: TestLane, size: number, count: number, last: number, seed: number): Delivered | undefined => {
  const bytes = pattern(size * (count - 1) + last, seed)
  // Each stays alone: packets of one flow would merge.
  if (!lane.putCopy(bytes, { slot: seed, segmentSize: size })) return undefined
  lane.writer.settle()
  return lane.reader.next()
}
/** Pushes a delivery as a socket's owner does: what the queue took. */
const push = (
  { lane, queue }: { lane: TestLane; queue: ReceiveQueue },
  size: number,
  count: number,
  last: number,
  seed: number,
): Uint8Array[] => {
  const { reader } = lane
  let delivery = arrive(lane, size, count, last, seed)
  if (delivery === undefined) {
    queue.settle()
    delivery = arrive(lane, size, count, last, seed)
    if (delivery === undefined) throw new Error('the lane is full, though the queue was settled')
  }
  const { at, length } = delivery
  const taken = queue.push(reader, spanAt(reader.arena, at, length, size))
  if (taken === 0) reader.release(at)
  if (taken > length || (taken < length && taken % size !== 0)) throw new Error(`took ${taken} of ${length} bytes`)
  return datagrams(pattern(length, seed).subarray(0, taken), size)
}

const given = (lane: TestLane) => {
  const held = lane.reader.held()
  if (held.some(count => count !== 0)) throw new Error(`not given back: ${held}`)
  const most = held.length >> 2
  for (let i = 0; i < most; i++) if (!lane.reader.lend()) throw new Error('a loan never ended')
  for (let i = 0; i < most; i++) lane.reader.unlend()
}

const target = new Uint8Array(1460)
const takeInto = (queue: ReceiveQueue): Uint8Array | undefined => {
  const length = queue.takeInto(target)
  return length === 0 ? undefined : target.slice(0, length)
}

type Step =
  | { kind: 'push'; size: number; count: number; last: number }
  | { kind: 'datagram' | 'into' | 'batch' | 'settle' }
const steps = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('push' as const),
      size: fc.oneof(fc.constantFrom(1, 100, 1400), fc.integer({ min: 1, max: 1460 })),
      count: fc.integer({ min: 1, max: 44 }),
      last: fc.integer({ min: 1, max: 1460 }),
    }),
    fc.record({ kind: fc.constantFrom('datagram' as const, 'into' as const, 'batch' as const, 'settle' as const) }),
  ),
  { maxLength: 200, size: 'max' },
)

t.test('is a queue of datagrams, however they come and go', async t => {
  const pool = new ChunkPool()
  fc.assert(
    fc.property(steps, fc.constantFrom(65_536, 300_000), fc.constantFrom(2, 5, 8), (script: Step[], limit, blocks) => {
      const lane = new TestLane(blocks)
      const queue = new ReceiveQueue(pool, limit)
      const model: Uint8Array[] = []
      let held = 0
      /** The batch under way, and what it must go on to hold. */
      let lent: { bytes: Uint8Array; wanted: Buffer } | undefined
      const step = (seed: number, step: Step) => {
        if (step.kind === 'settle') {
          queue.settle()
          const kept = lane.reader.held().reduce((sum, count) => sum + count, 0)
          if (kept > 1) throw new Error(`${kept} deliveries are held after settle`)
        } else if (step.kind === 'push') {
          const last = Math.min(step.last, step.size)
          const length = step.size * (step.count - 1) + last
          const pushed = push({ lane, queue }, step.size, step.count, last, seed)
          const taken = pushed.reduce((sum, { length }) => sum + length, 0)
          // A batch under way counts as read: there may be more room than the model knows, never less.
          const room = Math.max(0, limit - held)
          if (taken < (length <= room ? length : room - (room % step.size))) throw new Error(`took only ${taken} bytes`)
          if (taken > limit) throw new Error('took more than its limit')
          model.push(...pushed)
          held += taken
        } else if (step.kind !== 'batch') {
          lent = undefined
          if (queue.nextLength !== (model[0]?.length ?? 0)) throw new Error(`nextLength: ${queue.nextLength}`)
          const found = step.kind === 'into' ? takeInto(queue) : queue.takeDatagram()
          const wanted = model.splice(0, 1)
          held -= wanted[0]?.length ?? 0
          const wrong = difference(found === undefined ? [] : [found], wanted)
          if (wrong !== undefined) throw new Error(wrong)
        } else {
          lent = undefined
          const batch = queue.takeBatch()
          if (batch === undefined) {
            if (model.length > 0) throw new Error('nothing to take')
            return
          }
          const found = datagrams(batch.bytes, batch.segmentSize)
          if (found.length !== batch.count) throw new Error(`count: ${batch.count}`)
          const wanted = model.splice(0, batch.count)
          held -= batch.bytes.length
          const wrong = difference(found, wanted)
          if (wrong !== undefined) throw new Error(wrong)
          lent = { bytes: batch.bytes, wanted: Buffer.concat(wanted) }
        }
      }
      for (const [seed, one] of script.entries()) {
        step(seed, one)
        if (queue.empty !== (model.length === 0)) throw new Error(`empty: ${queue.empty}`)
        if (lent !== undefined && lent.wanted.compare(lent.bytes) !== 0) throw new Error('a lent batch changed')
      }
      while (!queue.empty) step(0, { kind: 'batch' })
      queue.endLoan()
      given(lane)
      lane.close()
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('what stays in the lane comes as it arrived, what was settled merges', async t => {
  const both = open(t, 65_536)
  const { lane, queue } = both
  const pushAll = () => {
    push(both, 100, 3, 100, 0)
    push(both, 100, 2, 100, 1)
    push(both, 40, 1, 40, 2)
    push(both, 100, 1, 100, 3)
  }
  const counts = () => {
    const found: number[] = []
    for (let batch = queue.takeBatch(); batch !== undefined; batch = queue.takeBatch()) found.push(batch.count)
    return found
  }
  pushAll()
  t.strictSame(counts(), [3, 2, 1, 1])
  given(lane)
  pushAll()
  queue.settle()
  given(lane)
  t.strictSame(counts(), [6, 1], 'a shorter datagram ends a batch')
  pushAll()
  queue.settle()
  pushAll()
  t.strictSame(counts(), [6, 1, 3, 2, 1, 1], 'the later ones were not settled')
  pushAll()
  queue.settle()
  pushAll()
  queue.settle()
  t.strictSame(counts(), [6, 7, 1], 'settled at another time, but merged all the same')
})

t.test('settle gives every block back, and nothing is lost', async t => {
  const both = open(t, 10_000_000, 2)
  const { lane, queue } = both
  const wanted: Uint8Array[] = []
  for (let seed = 0; seed < 100; seed++) {
    wanted.push(...push(both, 1000, 60, 999, seed))
    queue.settle()
    given(lane)
  }
  const found: Uint8Array[] = []
  for (let one = queue.takeDatagram(); one !== undefined; one = queue.takeDatagram()) found.push(one)
  t.equal(difference(found, wanted), undefined)
  queue.settle()
  t.ok(queue.empty, 'nothing to settle')
})

t.test('a delivery that was read in part can be settled', async t => {
  const both = open(t, 65_536)
  const { lane, queue } = both
  const wanted = [...push(both, 100, 5, 30, 1), ...push(both, 100, 2, 100, 2)]
  const found = [takeInto(queue)!, takeInto(queue)!]
  queue.settle()
  given(lane)
  while (!queue.empty) found.push(takeInto(queue)!)
  t.equal(difference(found, wanted), undefined)

  push(both, 100, 5, 30, 3)
  for (let i = 0; i < 5; i++) takeInto(queue)
  given(lane)
  push(both, 100, 5, 30, 4)
  t.equal(queue.takeDatagram()?.length, 100)
  given(lane)
})

t.test('takes as many datagrams as there is room for', async t => {
  const both = open(t, 250)
  const { lane, queue } = both
  const wanted = push(both, 100, 5, 100, 1)
  t.equal(wanted.length, 2)
  t.same(push(both, 100, 1, 100, 2), [], 'no room for a whole one')
  t.same(push(both, 51, 3, 51, 3), [])
  const short = push(both, 50, 1, 50, 4)
  t.equal(short.length, 1, 'a shorter one fits')
  t.same(push(both, 1, 1, 1, 5), [])
  const found: Uint8Array[] = []
  while (!queue.empty) found.push(queue.takeDatagram()!)
  t.equal(difference(found, [...wanted, ...short]), undefined, 'the oldest are kept')
  given(lane)
  t.equal(push(both, 100, 3, 50, 6).length, 3, 'exactly full')
  t.same(push(both, 1, 1, 1, 7), [])
  queue.settle()
  t.same(push(both, 1, 1, 1, 8), [], 'settling makes no room')
  t.equal(queue.takeBatch()?.count, 3)
  t.equal(push(both, 100, 3, 51, 9).length, 2, 'what is lent counts as read')
  queue.takeBatch()
  queue.endLoan()
  given(lane)
})

t.test('a batch keeps its bytes until the next step', async t => {
  const both = open(t, 10_000_000)
  const { lane, queue } = both
  push(both, 1000, 40, 1000, 1)
  const batch = queue.takeBatch()!
  t.type(batch.bytes.buffer, SharedArrayBuffer, 'where it arrived')
  for (let i = 0; i < 100; i++) {
    push(both, 1000, 40, 1000, i + 2)
    queue.settle()
    t.equal(Buffer.compare(batch.bytes, pattern(40_000, 1)), 0)
  }
  t.equal(
    lane.reader.held().reduce((sum, count) => sum + count),
    1,
    'its delivery is the only one that is held',
  )
  t.equal(Buffer.compare(queue.takeDatagram()!, pattern(40_000, 2).subarray(0, 1000)), 0)
  given(lane)
})

t.test('more lenders than allowed get copies', async t => {
  const lane = openLane(t, 8)
  const queues = Array.from({ length: 5 }, () => new ReceiveQueue(new ChunkPool(), 65_536))
  const shared = ({ bytes }: { bytes: Uint8Array }) => bytes.buffer instanceof SharedArrayBuffer
  const pushTo = (queue: ReceiveQueue, seed: number) => push({ lane, queue }, 100, 3, 50, seed)
  for (const [seed, queue] of queues.entries()) pushTo(queue, seed)
  const batches = queues.map(queue => queue.takeBatch()!)
  t.strictSame(batches.map(shared), [true, true, false, false, false], 'a quarter of the blocks')
  t.equal(
    lane.reader.held().reduce((sum, count) => sum + count),
    2,
  )
  for (const [seed, { bytes, segmentSize, count }] of batches.entries()) {
    t.equal(Buffer.compare(bytes, pattern(250, seed)), 0)
    t.strictSame([segmentSize, count], [100, 3])
  }
  queues[2].endLoan()
  pushTo(queues[2], 10)
  t.notOk(shared(queues[2].takeBatch()!), 'a copy was no loan')
  queues[0].endLoan()
  queues[0].endLoan()
  pushTo(queues[3], 11)
  pushTo(queues[4], 12)
  t.ok(shared(queues[3].takeBatch()!), 'a loan that ended makes room for one')
  const copy = queues[4].takeBatch()!
  t.notOk(shared(copy))
  for (const queue of queues) queue.endLoan()
  given(lane)
  t.equal(Buffer.compare(copy.bytes, pattern(250, 12)), 0)
})

t.test('a datagram is never used again', async t => {
  const both = open(t, 65_536, 2)
  const { queue } = both
  push(both, 10, 2, 10, 1)
  const kept = [queue.takeDatagram()!, queue.takeDatagram()!]
  push(both, 10, 2, 10, 1)
  queue.settle()
  kept.push(queue.takeDatagram()!, queue.takeDatagram()!)
  for (let i = 0; i < 50_000; i++) {
    push(both, 10, 2, 10, i)
    if (i % 2 === 0) queue.settle()
    queue.takeBatch()
  }
  const wanted = datagrams(pattern(20, 1), 10)
  t.same(kept, [...wanted, ...wanted])
})

t.test('a reader that never catches up does not make it grow', async t => {
  const { lane, queue } = open(t, 65_536)
  const { writer, reader } = lane
  const packet = native.arenaOpen(new Uint8Array(2))
  const span = spanAt(packet, 0, 2)
  const pushOne = (slot: number, length: number) => {
    span.length = span.segmentSize = length
    span.at = 0
    span.memory = packet
    if (!writer.put({ slot, generation: 2 }, span)) return false
    writer.settle()
    span.at = reader.next()!.at
    return queue.push(reader, span) === length
  }
  /** Two that merge when they are settled, and with nothing else. */
  const pushPair = () => pushOne(1, 2) && pushOne(2, 1)
  const pairs = async (settled: boolean) => {
    for (let i = 0; i < 4; i++) pushPair()
    if (settled) queue.settle()
    const before = process.memoryUsage().heapUsed
    for (let i = 0; i < 1_000_000; i++) {
      if (!pushPair()) return t.fail('full')
      if (settled) queue.settle()
      const count = queue.takeBatch()?.count
      if (settled ? count !== 2 : count !== 1 || queue.takeBatch()?.count !== 1) return t.fail('not a pair')
    }
    t.equal([...Array(10)].filter(() => queue.takeBatch() !== undefined).length, settled ? 4 : 8, 'it never was empty')
    const grown = (process.memoryUsage().heapUsed - before) / 2 ** 20
    t.ok(grown < 60, `${grown.toFixed(1)} MiB more after a million pairs`)
    given(lane)
  }
  await pairs(true)
  await pairs(false)
})
