/** A producer or a sleeping consumer in a thread of its own (doorbell.test.ts, inbox.test.ts). */
import { DeliveryRing } from '../../src/memory/delivery-ring.js'
import { Doorbell } from '../../src/memory/doorbell.js'
import { LaneWriter } from '../../src/memory/lane.js'
import { native, Ready } from '../../src/native.js'
import { randomNumbers } from '../support/random.js'
import { spanAt } from '../support/spans.js'
import { answer, meet, threadData, waitUntil } from '../support/threads.js'

export interface BellTask {
  role: 'produce' | 'consume'
  ring: SharedArrayBuffer
  ringAt: number
  capacity: number
  /** What lies there is a lane of that capacity, not a ring: for producers. */
  lane?: boolean
  bell: SharedArrayBuffer
  bellAt: number
  fd: number
  /** Records taken so far; -1 tells the consumer to end. */
  taken: Int32Array
  rounds: number
  /** Rounds stop after this time too, whichever comes first. */
  budgetMs: number
  ready: Int32Array
}
export interface BellAnswer {
  /** Record that the consumer slept through, -1: none. */
  lost: number
  rounds: number
  rings: number
}

const { role, capacity, lane, fd, taken, rounds, budgetMs, ready, ...at } = threadData<BellTask>()
const bell = new Doorbell(at.bell, at.bellAt, fd, native.eventRing)

/** Sends one record and rings; false when it had no room. */
const toRing = (wake: () => void) => {
  const ring = new DeliveryRing(at.ring, at.ringAt, capacity)
  return (): boolean => {
    if (ring.reserve() < 0) return false
    ring.commit()
    wake()
    return true
  }
}
const toLane = (wake: () => void) => {
  const writer = new LaneWriter(at.ring, at.ringAt, capacity, wake)
  const flow = { slot: 1, generation: 2 }
  const packet = spanAt(native.arenaOpen(new Uint8Array(16)), 0, 16)
  return (): boolean => {
    if (!writer.put(flow, packet)) return false
    writer.settle()
    return true
  }
}

const produce = (): void => {
  const next = randomNumbers(1)
  const result: BellAnswer = { lost: -1, rounds: 0, rings: 0 }
  const until = performance.now() + budgetMs
  const ring = () => {
    if (bell.ring()) result.rings++
  }
  const send = lane === true ? toLane(ring) : toRing(ring)
  meet(ready)
  while (result.rounds < rounds && (result.rounds % 64 !== 0 || performance.now() < until)) {
    if (!send()) {
      if (!waitUntil(() => Atomics.load(taken, 0) === result.rounds)) break
      continue
    }
    result.rounds++
    // Ping-pong most of the time: the next record comes while the consumer is about to sleep, at a random step.
    if (next() % 4 !== 0) {
      if (!waitUntil(() => Atomics.load(taken, 0) === result.rounds)) break
      for (let spin = next() % 2000; spin > 0; spin--) Atomics.load(taken, 1)
    }
  }
  if (!waitUntil(() => Atomics.load(taken, 0) === result.rounds)) result.lost = Atomics.load(taken, 0)
  Atomics.store(taken, 1, 1)
  native.eventRing(fd)
  answer(result)
}

const consume = (): void => {
  const ring = new DeliveryRing(at.ring, at.ringAt, capacity)
  const next = randomNumbers(2)
  const events = new Int32Array(2)
  let wakes = 0
  /** Gives the producer time to come between any two steps. */
  const dawdle = () => {
    for (let spin = next() % 3 === 0 ? next() % 1000 : 0; spin > 0; spin--) Atomics.load(taken, 1)
  }
  const drain = () => {
    while (ring.peek() >= 0) {
      ring.release()
      Atomics.add(taken, 0, 1)
    }
  }
  const poller = new native.Poller(native.arenaOpen(new Uint8Array(events.buffer)), 1, () => {
    wakes++
    native.eventDrain(fd)
    if (Atomics.load(taken, 1) === 1) {
      poller.close()
      answer(wakes)
      return
    }
    for (;;) {
      drain()
      dawdle()
      bell.arm()
      dawdle()
      if (ring.peek() < 0) return
      bell.disarm()
      dawdle()
    }
  })
  poller.add(fd, 0, Ready.read)
  bell.arm()
  meet(ready)
}

if (role === 'produce') produce()
else consume()
