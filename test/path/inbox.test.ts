import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { DeliveryRing } from '../../src/memory/delivery-ring.js'
import type { LaneWriter } from '../../src/memory/lane.js'
import { Span } from '../../src/memory/span.js'
import { native, Ready } from '../../src/native.js'
import { type Deliver, Inbox } from '../../src/path/inbox.js'
import type { BellAnswer, BellTask } from '../memory/doorbell-worker.js'
import { counting } from '../support/datagrams.js'
import { mostDeliveries } from '../support/lanes.js'
import { MemoryStack } from '../support/memory-stack.js'
import { runThread } from '../support/threads.js'

const push = (lane: LaneWriter, slot: number, payload: number[] = [slot & 0xff]): void => {
  const span = new Span().over(Uint8Array.from(payload), payload.length)
  if (!lane.put({ slot, generation: slot * 2 }, span)) throw new Error('full')
  lane.flush()
}

/** The inbox of thread 2, fed by queue workers 0 and 1. */
const open = (t: Test, { before = (_: LaneWriter[]) => {} } = {}) => {
  const stack = new MemoryStack({ queues: 2 })
  const { memory } = stack
  const bell = memory.bell(2)
  const producers = [memory.laneTo(2, 0), memory.laneTo(2, 1)]
  before(producers)
  const slots: number[] = []
  const hooks: { deliver: Deliver } = {
    deliver: (lane, { slot }, { at }) => {
      slots.push(slot)
      lane.release(at)
    },
  }
  const lanes = [memory.laneFrom(0, 2), memory.laneFrom(1, 2)]
  const inbox = new Inbox(bell, lanes, (...delivery) => hooks.deliver(...delivery))
  t.teardown(() => {
    for (const producer of producers) producer.close()
    inbox.close()
    stack.close()
  })
  return {
    inbox,
    hooks,
    stack,
    producers,
    lanes,
    ring: () => memory.bell(2).ring(),
    /** What was delivered since the last look. */
    taken: () => slots.splice(0),
    /** Whether the descriptor was readable; as if an event loop had looked. */
    rung: () => {
      const count = native.eventDrain(bell.fd)
      if (count > 0) native.eventRing(bell.fd)
      return count > 0
    },
  }
}

t.test('a delivery as it was written', async t => {
  const { inbox, hooks, producers, lanes } = open(t)
  const seen: unknown[] = []
  hooks.deliver = (lane, { slot, generation }, { at, length, segmentSize }) => {
    const copy = new Uint8Array(length)
    native.copy(copy, 0, lane.arena, at, length)
    seen.push([
      lanes.indexOf(lane),
      slot,
      generation,
      segmentSize,
      [...lane.bytes.subarray(at, at + length)],
      [...copy],
    ])
    lane.release(at)
  }
  push(producers[1], 7, counting(100))
  inbox.drain(1000)
  t.strictSame(seen, [[1, 7, 14, 100, counting(100), counting(100)]])
})

t.test('idle: asleep and armed; the first delivery rings, the next ones do not', async t => {
  const { inbox, producers, ring, taken, rung } = open(t)
  t.notOk(rung())
  for (const slot of [1, 2]) {
    push(producers[0], slot)
    t.equal(ring(), slot === 1)
  }
  push(producers[1], 3)
  t.notOk(ring())
  t.ok(rung())
  inbox.wake(1000)
  t.strictSame(taken(), [1, 2, 3], 'each lane in order')
  t.notOk(rung(), 'and asleep again')
  push(producers[1], 4)
  t.ok(ring())
})

t.test('a budget per lane; what is left comes in the next turn', async t => {
  const { inbox, producers, ring, taken, rung } = open(t)
  for (let slot = 0; slot < 10; slot++) push(producers[0], slot, counting(100))
  push(producers[1], 77)
  ring()
  inbox.wake(299)
  t.strictSame(taken(), [0, 1, 2, 77], 'the other lane is not kept waiting')
  t.ok(rung())
  inbox.wake(300)
  t.strictSame(taken(), [3, 4, 5, 6])
  t.ok(rung())
  inbox.wake(Number.POSITIVE_INFINITY)
  t.strictSame(taken(), [7, 8, 9])
  t.notOk(rung())
})

t.test('a delivery that comes after its lane was looked at is not slept through', async t => {
  const { inbox, hooks, producers, ring, taken, rung } = open(t)
  const { deliver } = hooks
  push(producers[1], 1)
  ring()
  hooks.deliver = (...delivery) => {
    deliver(...delivery)
    // Lane 0 was found empty just before; the consumer is awake, so nobody rings.
    if (delivery[1].slot === 1) {
      push(producers[0], 2)
      t.notOk(ring())
    }
  }
  inbox.wake(1000)
  t.strictSame(taken(), [1])
  t.ok(rung(), 'it comes again by itself')
  inbox.wake(1000)
  t.strictSame(taken(), [2])
  t.notOk(rung())
})

t.test('a consumer that takes the place of another one finds what that one left', async t => {
  const { inbox, producers, ring, taken, rung } = open(t, {
    before: ([first]) => {
      for (let slot = 0; slot < mostDeliveries; slot++) push(first, slot)
    },
  })
  t.throws(() => push(producers[0], 0), /full/, 'no producer will ring for it: the lane is full')
  t.ok(rung())
  inbox.wake(Number.POSITIVE_INFINITY)
  t.equal(taken().length, mostDeliveries)
  push(producers[0], 5)
  t.ok(ring())
})

t.test('drain without a wake leaves the bell alone', async t => {
  const { inbox, producers, ring, taken, rung } = open(t)
  push(producers[0], 1)
  t.ok(inbox.drain(1000))
  t.strictSame(taken(), [1])
  t.ok(ring(), 'still armed')
  t.ok(rung())
  for (const slot of [1, 2]) push(producers[1], slot)
  t.notOk(inbox.drain(0), 'not empty: one delivery per call')
  t.strictSame(taken(), [1])
})

t.test('a delivery that kills its consumer is not met again', async t => {
  const { inbox, hooks, producers, taken } = open(t)
  const { deliver } = hooks
  for (const slot of [1, 2, 3]) push(producers[0], slot)
  hooks.deliver = (...delivery) => {
    if (delivery[1].slot === 2) throw new Error('it does')
    deliver(...delivery)
  }
  t.throws(() => inbox.drain(1000), /it does/)
  t.ok(inbox.drain(1000))
  t.strictSame(taken(), [1, 3])
})

t.test('two producing threads, an event loop: no wake-up is lost', async t => {
  const { inbox, hooks, stack, lanes } = open(t)
  const taken = [0, 1].map(() => new Int32Array(new SharedArrayBuffer(8)))
  const ready = new Int32Array(new SharedArrayBuffer(4)).fill(2)
  hooks.deliver = (lane, _flow, { at }) => {
    lane.release(at)
    Atomics.add(taken[lanes.indexOf(lane)], 0, 1)
  }
  const { bells, bellFds, laneCapacity } = stack.shared
  const events = new Int32Array(2)
  const vec = native.arenaOpen(new Uint8Array(events.buffer))
  let wakes = 0
  const poller = new native.Poller(vec, 1, () => {
    wakes++
    inbox.wake(64)
  })
  poller.add(bellFds[2], 0, Ready.read)
  const answers = await Promise.all(
    [0, 1].map(queue =>
      runThread<BellAnswer>(new URL('../memory/doorbell-worker.js', import.meta.url), {
        role: 'produce',
        ring: stack.shared.lanes,
        ringAt: lanes[queue].ring.words.byteOffset - DeliveryRing.bytesFor(0),
        capacity: laneCapacity,
        lane: true,
        bell: bells,
        bellAt: 2 * 128,
        fd: bellFds[2],
        taken: taken[queue],
        rounds: 20_000,
        budgetMs: 1500,
        ready,
      } satisfies BellTask),
    ),
  )
  await turn()
  poller.close()
  native.arenaClose(vec)
  for (const [queue, { lost, rounds }] of answers.entries()) {
    t.equal(lost, -1)
    t.equal(taken[queue][0], rounds)
  }
  t.comment(`${answers.map(({ rounds }) => rounds)} rounds, ${answers.map(({ rings }) => rings)} rings, ${wakes} wakes`)
})
