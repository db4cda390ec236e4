import fc from 'fast-check'
import t, { type Test } from 'tap'
import { native } from '../../src/native.js'
import { ChunkPool } from '../../src/sockets/chunk-pool.js'
import { type DatagramBatch, ReceiveQueue } from '../../src/sockets/receive-queue.js'
import { datagrams, difference, pattern } from '../support/datagrams.js'
import { TestLane } from '../support/lanes.js'
import { spanAt } from '../support/spans.js'

/** Datagrams that arrive together: `count` of `size` bytes each, of which the last one may be shorter. */
interface Arrival {
  readonly size: number
  readonly count: number
  /** Bytes of the last one: `size` unless told. */
  readonly last?: number
  /** What the bytes are made from. Arrivals of different seeds belong to different flows, so that the lane does not merge them. */
  readonly seed: number
}

const bytesOf = ({ size, count, last = size, seed }: Arrival): Uint8Array => pattern(size * (count - 1) + last, seed)

/** A receive queue, and the lane that its datagrams arrive in. Several queues may share a lane. */
class Receiver {
  readonly lane: TestLane
  readonly queue: ReceiveQueue

  constructor(lane: TestLane, limit: number, pool = new ChunkPool()) {
    this.lane = lane
    this.queue = new ReceiveQueue(pool, limit)
  }

  /** Hands an arrival to the queue as the socket's thread does, and answers the datagrams that the queue took. */
  arrive(arrival: Arrival): Uint8Array[] {
    const { lane, queue } = this
    const { reader } = lane
    const bytes = bytesOf(arrival)
    if (!this.#write(bytes, arrival)) {
      queue.leaveLane()
      if (!this.#write(bytes, arrival)) throw new Error('the lane is full, though the queue had left its lane')
    }
    const { at, length, segmentSize } = reader.next()!
    const taken = queue.push(reader, spanAt(reader.arena, at, length, segmentSize))
    // What the queue takes nothing of stays its caller's, who gives it back.
    if (taken === 0) reader.release(at)
    const whole = taken === length || taken % segmentSize === 0
    if (taken > length || !whole) throw new Error(`took ${taken} of ${length} bytes, which are no whole datagrams`)
    return datagrams(bytes.subarray(0, taken), segmentSize)
  }

  /** The oldest datagram, read into the reader's own memory. */
  takeInto(): Uint8Array | undefined {
    const target = new Uint8Array(1460)
    const length = this.queue.takeInto(target)
    return length === 0 ? undefined : target.subarray(0, length)
  }

  takeEveryDatagram(): Uint8Array[] {
    const found: Uint8Array[] = []
    for (let one = this.queue.takeDatagram(); one !== undefined; one = this.queue.takeDatagram()) found.push(one)
    return found
  }

  takeEveryBatch(): DatagramBatch[] {
    const found: DatagramBatch[] = []
    for (let one = this.queue.takeBatch(); one !== undefined; one = this.queue.takeBatch()) found.push(one)
    return found
  }

  #write(bytes: Uint8Array, { size, seed }: Arrival): boolean {
    const { writer } = this.lane
    const put = this.lane.putCopy(bytes, { slot: seed, segmentSize: size })
    writer.settle()
    return put
  }
}

/** A lane that closes with the test. */
const openLane = (t: Test, blocks: number): TestLane => {
  const lane = new TestLane(blocks)
  t.teardown(() => lane.close())
  return lane
}

/** A queue for at most `limit` bytes, on a lane of its own. */
const open = (t: Test, limit: number, blocks = 4): Receiver => new Receiver(openLane(t, blocks), limit)

/** Deliveries that were made and not given back. */
const heldDeliveries = (lane: TestLane): number => lane.reader.held().reduce((sum, count) => sum + count, 0)

/** Fails unless every delivery was given back and every loan has ended. */
const mustHoldNothing = (lane: TestLane): void => {
  const { reader } = lane
  if (heldDeliveries(lane) !== 0) throw new Error(`deliveries not given back, by block: ${reader.held()}`)
  const mostLoans = reader.held().length >> 2
  for (let i = 0; i < mostLoans; i++) if (!reader.lend()) throw new Error('a loan never ended')
  for (let i = 0; i < mostLoans; i++) reader.unlend()
}

const isShared = ({ bytes }: DatagramBatch): boolean => bytes.buffer instanceof SharedArrayBuffer

type Step =
  | { does: 'arrive'; size: number; count: number; last: number }
  | { does: 'takeDatagram' | 'takeInto' | 'takeBatch' | 'leaveLane' }
const steps = fc.array(
  fc.oneof(
    fc.record({
      does: fc.constant('arrive' as const),
      size: fc.oneof(fc.constantFrom(1, 100, 1400), fc.integer({ min: 1, max: 1460 })),
      count: fc.integer({ min: 1, max: 44 }),
      last: fc.integer({ min: 1, max: 1460 }),
    }),
    fc.record({
      does: fc.constantFrom('takeDatagram' as const, 'takeInto' as const, 'takeBatch' as const, 'leaveLane' as const),
    }),
  ),
  { maxLength: 200, size: 'max' },
)

/** A receiver beside a plain list of datagrams, which must always hold the same. Throws where they part. */
class Compared {
  readonly #receiver: Receiver
  readonly #limit: number
  /** What the queue must hold, and its bytes. */
  readonly #model: Uint8Array[] = []
  #bytes = 0
  /** The batch that is lent out, and what it must go on to hold. */
  #lent: { bytes: Uint8Array; wanted: Buffer } | undefined
  #seed = 0

  constructor(receiver: Receiver, limit: number) {
    this.#receiver = receiver
    this.#limit = limit
  }

  step(step: Step): void {
    const { queue } = this.#receiver
    if (step.does === 'arrive') this.#arrive(step)
    else if (step.does === 'leaveLane') this.#leaveLane()
    else if (step.does === 'takeBatch') this.#takeBatch()
    else this.#takeOne(step.does)
    if (queue.empty !== (this.#model.length === 0)) throw new Error(`empty: ${queue.empty}`)
    if (this.#lent !== undefined && this.#lent.wanted.compare(this.#lent.bytes) !== 0) {
      throw new Error('a lent batch changed')
    }
  }

  #arrive({ size, count, last }: { size: number; count: number; last: number }): void {
    const arrival = { size, count, last: Math.min(last, size), seed: this.#seed++ }
    const taken = this.#receiver.arrive(arrival)
    const bytes = taken.reduce((sum, { length }) => sum + length, 0)
    const { length } = bytesOf(arrival)
    // A batch that is lent out counts as read: there may be more room than the model knows, never less.
    const room = Math.max(0, this.#limit - this.#bytes)
    const least = length <= room ? length : room - (room % size)
    if (bytes < least) throw new Error(`took only ${bytes} bytes of ${length}, with room for ${room}`)
    if (bytes > this.#limit) throw new Error('took more than its limit')
    this.#model.push(...taken)
    this.#bytes += bytes
  }

  #leaveLane(): void {
    this.#receiver.queue.leaveLane()
    const held = heldDeliveries(this.#receiver.lane)
    if (held > 1) throw new Error(`${held} deliveries are held after leaveLane: only the one lent out may be`)
  }

  #takeOne(way: 'takeDatagram' | 'takeInto'): void {
    const { queue } = this.#receiver
    this.#lent = undefined
    if (queue.nextLength !== (this.#model[0]?.length ?? 0)) throw new Error(`nextLength: ${queue.nextLength}`)
    const found = way === 'takeInto' ? this.#receiver.takeInto() : queue.takeDatagram()
    this.#mustBeNext(found === undefined ? [] : [found], this.#model.length === 0 ? 0 : 1)
  }

  #takeBatch(): void {
    this.#lent = undefined
    const batch = this.#receiver.queue.takeBatch()
    if (batch === undefined) {
      if (this.#model.length > 0) throw new Error('nothing to take')
      return
    }
    const wanted = this.#mustBeNext(datagrams(batch.bytes, batch.segmentSize), batch.count)
    this.#lent = { bytes: batch.bytes, wanted: Buffer.concat(wanted) }
  }

  /** Takes the oldest `count` datagrams from the model; they must be what was found. */
  #mustBeNext(found: Uint8Array[], count: number): Uint8Array[] {
    const wanted = this.#model.splice(0, count)
    for (const { length } of wanted) this.#bytes -= length
    const wrong = difference(found, wanted)
    if (wrong !== undefined) throw new Error(wrong)
    return wanted
  }
}

t.test('in any order of calls it holds what a plain list would hold', async t => {
  const pool = new ChunkPool()
  fc.assert(
    fc.property(steps, fc.constantFrom(65_536, 300_000), fc.constantFrom(2, 5, 8), (script: Step[], limit, blocks) => {
      const lane = new TestLane(blocks)
      const receiver = new Receiver(lane, limit, pool)
      const compared = new Compared(receiver, limit)
      for (const step of script) compared.step(step)
      while (!receiver.queue.empty) compared.step({ does: 'takeBatch' })
      receiver.queue.endLoan()
      mustHoldNothing(lane)
      lane.close()
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('arrivals that are read at once stay apart, those that had left their lane merge', async t => {
  const receiver = open(t, 65_536)
  const { lane, queue } = receiver
  const arriveAll = () => {
    receiver.arrive({ size: 100, count: 3, seed: 0 })
    receiver.arrive({ size: 100, count: 2, seed: 1 })
    receiver.arrive({ size: 40, count: 1, seed: 2 })
    receiver.arrive({ size: 100, count: 1, seed: 3 })
  }
  const counts = () => receiver.takeEveryBatch().map(({ count }) => count)

  arriveAll()
  t.strictSame(counts(), [3, 2, 1, 1], 'read at once: a batch for each arrival')
  mustHoldNothing(lane)

  arriveAll()
  queue.leaveLane()
  mustHoldNothing(lane)
  t.strictSame(counts(), [6, 1], 'copied: one batch, which the shorter datagram ends')

  arriveAll()
  queue.leaveLane()
  arriveAll()
  t.strictSame(counts(), [6, 1, 3, 2, 1, 1], 'those that came after the settling stay apart')

  arriveAll()
  queue.leaveLane()
  arriveAll()
  queue.leaveLane()
  t.strictSame(counts(), [6, 7, 1], 'copied at two times, they merge all the same')
})

t.test('settling gives every block back, and no datagram is lost', async t => {
  const receiver = open(t, 10_000_000, 2)
  const { lane, queue } = receiver
  const wanted: Uint8Array[] = []
  for (let seed = 0; seed < 100; seed++) {
    wanted.push(...receiver.arrive({ size: 1000, count: 60, last: 999, seed }))
    queue.leaveLane()
    mustHoldNothing(lane)
  }
  t.equal(difference(receiver.takeEveryDatagram(), wanted), undefined)
  queue.leaveLane()
  t.ok(queue.empty, 'settling an empty queue changes nothing')
})

t.test('an arrival that was read in part can leave its lane', async t => {
  const receiver = open(t, 65_536)
  const { lane, queue } = receiver
  const wanted = [
    ...receiver.arrive({ size: 100, count: 5, last: 30, seed: 1 }),
    ...receiver.arrive({ size: 100, count: 2, seed: 2 }),
  ]
  const found = [receiver.takeInto()!, receiver.takeInto()!]
  queue.leaveLane()
  mustHoldNothing(lane)
  while (!queue.empty) found.push(receiver.takeInto()!)
  t.equal(difference(found, wanted), undefined)
})

t.test('an arrival is given back when its last datagram is read, or when it is copied', async t => {
  const receiver = open(t, 65_536)
  const { lane, queue } = receiver
  receiver.arrive({ size: 100, count: 5, last: 30, seed: 3 })
  for (let i = 0; i < 4; i++) receiver.takeInto()
  t.equal(heldDeliveries(lane), 1, 'one datagram of it is left')
  receiver.takeInto()
  mustHoldNothing(lane)

  receiver.arrive({ size: 100, count: 5, last: 30, seed: 4 })
  t.equal(queue.takeDatagram()?.length, 100)
  mustHoldNothing(lane)
})

t.test('it takes as many whole datagrams as there is room for, and keeps the oldest', async t => {
  const receiver = open(t, 250)
  const first = receiver.arrive({ size: 100, count: 5, seed: 1 })
  t.equal(first.length, 2, 'a third one does not fit')
  t.same(receiver.arrive({ size: 100, count: 1, seed: 2 }), [], 'nor does another one of that size')
  t.same(receiver.arrive({ size: 51, count: 3, seed: 3 }), [], 'nor one that is a byte too long')
  const second = receiver.arrive({ size: 50, count: 1, seed: 4 })
  t.equal(second.length, 1, 'one that fills it exactly does')
  t.same(receiver.arrive({ size: 1, count: 1, seed: 5 }), [], 'now it is full')
  t.equal(difference(receiver.takeEveryDatagram(), [...first, ...second]), undefined)
  mustHoldNothing(receiver.lane)
})

t.test('settling makes no room, lending a batch does', async t => {
  const receiver = open(t, 250)
  const { lane, queue } = receiver
  t.equal(receiver.arrive({ size: 100, count: 3, last: 50, seed: 6 }).length, 3, 'exactly full')
  t.same(receiver.arrive({ size: 1, count: 1, seed: 7 }), [])
  queue.leaveLane()
  t.same(receiver.arrive({ size: 1, count: 1, seed: 8 }), [], 'a copy counts as what it was made of')
  t.equal(queue.takeBatch()?.count, 3)
  t.equal(receiver.arrive({ size: 100, count: 3, last: 51, seed: 9 }).length, 2, 'what is lent out counts as read')
  queue.takeBatch()
  queue.endLoan()
  mustHoldNothing(lane)
})

t.test('a batch keeps its bytes until the next one is taken', async t => {
  const receiver = open(t, 10_000_000)
  const { lane, queue } = receiver
  receiver.arrive({ size: 1000, count: 40, seed: 1 })
  const batch = queue.takeBatch()!
  t.ok(isShared(batch), 'it lies where it arrived')
  for (let seed = 2; seed < 102; seed++) {
    receiver.arrive({ size: 1000, count: 40, seed })
    queue.leaveLane()
    t.equal(Buffer.compare(batch.bytes, pattern(40_000, 1)), 0)
  }
  t.equal(heldDeliveries(lane), 1, 'its delivery is the only one that is held')
  t.equal(Buffer.compare(queue.takeDatagram()!, pattern(40_000, 2).subarray(0, 1000)), 0)
  mustHoldNothing(lane)
})

t.test('a lane lends a quarter of its blocks, and further readers get copies', async t => {
  const lane = openLane(t, 8)
  const receivers = Array.from({ length: 5 }, () => new Receiver(lane, 65_536))
  const arriveAt = (receiver: Receiver, seed: number) => receiver.arrive({ size: 100, count: 3, last: 50, seed })
  for (const [seed, receiver] of receivers.entries()) arriveAt(receiver, seed)
  const batches = receivers.map(({ queue }) => queue.takeBatch()!)
  t.strictSame(batches.map(isShared), [true, true, false, false, false], 'two of eight blocks')
  t.equal(heldDeliveries(lane), 2)
  for (const [seed, { bytes, segmentSize, count }] of batches.entries()) {
    t.equal(Buffer.compare(bytes, pattern(250, seed)), 0)
    t.strictSame([segmentSize, count], [100, 3])
  }

  const [first, , third, fourth, fifth] = receivers
  third.queue.endLoan()
  arriveAt(third, 10)
  t.notOk(isShared(third.queue.takeBatch()!), 'a copy was no loan, so its end makes no room for one')

  first.queue.endLoan()
  first.queue.endLoan()
  arriveAt(fourth, 11)
  arriveAt(fifth, 12)
  t.ok(isShared(fourth.queue.takeBatch()!), 'a loan that ended makes room for one')
  const copy = fifth.queue.takeBatch()!
  t.notOk(isShared(copy), 'and for one only, however often it was ended')
  for (const { queue } of receivers) queue.endLoan()
  mustHoldNothing(lane)
  t.equal(Buffer.compare(copy.bytes, pattern(250, 12)), 0, 'a copy outlives its loan')
})

t.test('the bytes of a datagram are never used again', async t => {
  const receiver = open(t, 65_536, 2)
  const { queue } = receiver
  receiver.arrive({ size: 10, count: 2, seed: 1 })
  const kept = [queue.takeDatagram()!, queue.takeDatagram()!]
  receiver.arrive({ size: 10, count: 2, seed: 1 })
  queue.leaveLane()
  kept.push(queue.takeDatagram()!, queue.takeDatagram()!)
  for (let seed = 0; seed < 50_000; seed++) {
    receiver.arrive({ size: 10, count: 2, seed })
    if (seed % 2 === 0) queue.leaveLane()
    queue.takeBatch()
  }
  const wanted = datagrams(pattern(20, 1), 10)
  t.same(kept, [...wanted, ...wanted])
})

t.test('what a socket had elsewhere comes before what it has here', async t => {
  const before = open(t, 250)
  const taken = [
    ...before.arrive({ size: 100, count: 2, last: 50, seed: 1 }),
    ...before.arrive({ size: 40, count: 1, seed: 2 }),
  ]
  const residue = before.queue.takeAll()
  t.ok(before.queue.empty)
  mustHoldNothing(before.lane)
  t.notOk(
    residue.some(({ bytes }) => bytes.buffer instanceof SharedArrayBuffer),
    'it goes along as copies',
  )

  const after = open(t, 250)
  const later = after.arrive({ size: 30, count: 2, seed: 3 })
  after.queue.prepend(residue)
  t.same(after.arrive({ size: 1, count: 1, seed: 4 }), [], 'its bytes count: 190 + 60 are all that it holds')
  t.equal(difference(after.takeEveryDatagram(), [...taken, ...later]), undefined)
  mustHoldNothing(after.lane)
})

t.test('a reader that never catches up does not make it grow', async t => {
  const { lane, queue } = open(t, 65_536)
  const { writer, reader } = lane
  const packet = native.arenaOpen(new Uint8Array(2))
  t.teardown(() => native.arenaClose(packet))
  // One record for all: what this test makes itself must not show in the heap.
  const span = spanAt(packet, 0, 2)
  const arrive = (slot: number, length: number): boolean => {
    span.memory = packet
    span.at = 0
    span.length = span.segmentSize = length
    if (!writer.put({ slot, generation: 2 }, span)) return false
    writer.settle()
    span.at = reader.next()!.at
    return queue.push(reader, span) === length
  }
  /** A datagram of two bytes and one of one byte: they merge with each other when they have left their lane, and with nothing else. */
  const arrivePair = () => arrive(1, 2) && arrive(2, 1)
  const takePair = (copied: boolean): boolean => {
    const first = queue.takeBatch()?.count
    return copied ? first === 2 : first === 1 && queue.takeBatch()?.count === 1
  }
  for (const copied of [true, false]) {
    for (let i = 0; i < 4; i++) arrivePair()
    if (copied) queue.leaveLane()
    const before = process.memoryUsage().heapUsed
    for (let i = 0; i < 1_000_000; i++) {
      if (!arrivePair()) return t.fail('full')
      if (copied) queue.leaveLane()
      if (!takePair(copied)) return t.fail('not a pair')
    }
    let left = 0
    while (queue.takeBatch() !== undefined) left++
    t.equal(left, copied ? 4 : 8, 'it never was empty')
    const grown = (process.memoryUsage().heapUsed - before) / 2 ** 20
    t.ok(grown < 60, `${grown.toFixed(1)} MiB more after a million pairs`)
    mustHoldNothing(lane)
  }
})
