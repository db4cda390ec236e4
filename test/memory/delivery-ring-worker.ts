/** One side of a ring in a thread of its own (delivery-ring.test.ts). */
import { Delivery, DeliveryRing } from '../../src/memory/delivery-ring.js'
import { answer, meet, threadData, waitUntil } from '../support/threads.js'

export interface RingTask {
  role: 'produce' | 'consume'
  shared: SharedArrayBuffer
  capacity: number
  records: number
  ready: Int32Array
}
export interface RingAnswer {
  /** What went wrong, '' when nothing did. */
  fault: string
  /** How often the ring was full, or empty, and it was tried again. */
  waits: number
}

const { role, shared, capacity, records, ready } = threadData<RingTask>()
const ring = new DeliveryRing(shared, 0, capacity)
const result: RingAnswer = { fault: '', waits: 0 }

const wordOf = (record: number, i: number) => Math.imul(record, 0x9e3779b1) ^ (i << 28)

/** The record that `find` finds, as soon as there is one. */
const waitFor = (find: () => number, what: string): number => {
  let at = -1
  const found = waitUntil(() => {
    at = find()
    if (at < 0) result.waits++
    return at >= 0
  })
  if (!found) result.fault = what
  return at
}

const produce = (record: number): void => {
  const at = waitFor(() => ring.reserve(), `no room for record ${record}`)
  if (at < 0) return
  for (let i = 0; i < Delivery.words; i++) ring.words[at + i] = wordOf(record, i)
  ring.commit()
}

const consume = (record: number): void => {
  const at = waitFor(() => ring.peek(), `record ${record} never came`)
  if (at < 0) return
  for (let i = 0; i < Delivery.words; i++) {
    if (ring.words[at + i] !== wordOf(record, i)) result.fault = `record ${record} differs at word ${i}`
  }
  ring.release()
}

meet(ready)
const step = role === 'produce' ? produce : consume
for (let record = 0; record < records && result.fault === ''; record++) step(record)
answer(result)
