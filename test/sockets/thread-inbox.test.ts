import t, { type Test } from 'tap'
import type { LaneWriter } from '../../src/memory/lane.js'
import { Span } from '../../src/memory/span.js'
import type { Deliver } from '../../src/path/inbox.js'
import { ThreadInbox } from '../../src/sockets/thread-inbox.js'
import { mostDeliveries } from '../support/lanes.js'
import { MemoryStack } from '../support/memory-stack.js'

/** The thread whose inbox is under test: the main thread of a stack with two queues. */
const thread = 2

/** A worker sends a delivery, without waking anybody. False when the lane is full. */
const put = (lane: LaneWriter, slot: number, length = 10): boolean => {
  const sent = lane.put({ slot, generation: 2 }, new Span().over(new Uint8Array(length), length))
  lane.flush()
  return sent
}

const open = (t: Test) => {
  const stack = new MemoryStack({ queues: 2 })
  const { memory } = stack
  const workers = [memory.laneTo(thread, 0), memory.laneTo(thread, 1)]
  t.teardown(() => {
    for (const worker of workers) worker.close()
    stack.close()
  })
  return {
    stack,
    workers,
    ring: () => memory.bell(thread).ring(),
    /** The inbox, with what is to be done with each delivery. */
    begin(deliver: Deliver): ThreadInbox {
      const inbox = new ThreadInbox(memory, thread, deliver)
      t.teardown(() => inbox.close())
      return inbox
    },
  }
}

t.test('the event loop hears of what any worker sends', async t => {
  const { workers, ring, begin } = open(t)
  const slots: number[] = []
  let told = () => {}
  begin((lane, { slot }, { at }) => {
    slots.push(slot)
    lane.release(at)
    told()
  })
  for (const [slot, worker] of [...workers, ...workers].entries()) {
    const heard = new Promise<void>(resolve => {
      told = resolve
    })
    put(worker, slot)
    t.ok(ring(), 'it sleeps')
    await heard
  }
  t.strictSame(slots, [0, 1, 2, 3])
})

t.test('what was sent to a predecessor that died is not delivered, and its memory is free again', async t => {
  const { workers, begin } = open(t)
  const [worker] = workers
  for (let i = 0; i < mostDeliveries; i++) if (!put(worker, 1)) return t.fail('full too early')
  t.notOk(put(worker, 1), 'it had left its lane full')
  const slots: number[] = []
  const inbox = begin((lane, { slot }, { at }) => {
    slots.push(slot)
    lane.release(at)
  })
  inbox.drain()
  t.strictSame(slots, [])
  for (let i = 0; i < mostDeliveries; i++) if (!put(worker, 2)) return t.fail(`full after ${i} deliveries`)
  inbox.drain()
  t.equal(slots.length, mostDeliveries)
})

t.test('drain takes what is there, without a wake', async t => {
  const { workers, begin } = open(t)
  const slots: number[] = []
  const inbox = begin((lane, { slot }, { at }) => {
    slots.push(slot)
    lane.release(at)
  })
  put(workers[1], 1)
  put(workers[0], 2)
  put(workers[1], 3)
  inbox.drain()
  t.strictSame(slots, [2, 1, 3], 'each lane in order')
})

t.test('drain ends, however fast the workers are', async t => {
  const { stack, workers, begin } = open(t)
  const length = 60_000
  const most = 2 * stack.shared.laneCapacity
  let taken = 0
  const inbox = begin((lane, _flow, { at }) => {
    taken += length
    lane.release(at)
    // A worker that sends as much as is taken; a drain without an end must not hold this test for ever.
    if (taken < 2 * most) put(workers[0], 1, length)
  })
  put(workers[0], 1, length)
  inbox.drain()
  t.ok(taken >= stack.shared.laneCapacity, 'all that a full lane holds')
  t.ok(taken <= most + length, `${taken} bytes`)
})
