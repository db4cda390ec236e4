/** One side of a ring in a thread of its own (packet-ring.test.ts). */
import { PacketRing } from '../../src/memory/packet-ring.js'
import { randomNumbers } from '../native/support.js'
import { answer, meet, threadData, waitUntil } from '../support/threads.js'

export interface RingTask {
  role: 'produce' | 'consume'
  shared: SharedArrayBuffer
  capacity: number
  records: number
  seed: number
  ready: Int32Array
}
export interface RingAnswer {
  /** What went wrong, '' when nothing did. */
  fault: string
  /** Reservations that the ring refused, tried again later. */
  refused: number
  bytes: number
}

const { role, shared, capacity, records, seed, ready } = threadData<RingTask>()
const ring = new PacketRing(shared, 0, capacity)
const next = randomNumbers(seed)
const result: RingAnswer = { fault: '', refused: 0, bytes: 0 }

/** Both sides draw the same lengths. Half of the records are small. */
const nextLength = () => next() % ((next() & 1) === 0 ? 20 : Math.min(ring.maxRecord, 500) + 1)
const byteOf = (record: number, i: number) => (record * 31 + (record >>> 8) + i * 7) & 0xff

const produce = (record: number): void => {
  const length = nextLength()
  // Every fifth record is reserved larger than it turns out to be.
  const reserved = record % 5 === 0 ? Math.min(length + (record % 64), ring.maxRecord) : length
  let at = -1
  const reserve = () => {
    at = ring.reserve(reserved)
    if (at < 0) result.refused++
    return at >= 0
  }
  if (!waitUntil(reserve)) result.fault = `no room for record ${record}`
  else {
    for (let i = 0; i < length; i++) ring.bytes[at + i] = byteOf(record, i)
    ring.commit(reserved === length ? undefined : length)
    result.bytes += length
  }
}

const consume = (record: number): void => {
  const length = nextLength()
  let at = -1
  const peek = () => {
    at = ring.peek()
    return at >= 0
  }
  if (!waitUntil(peek)) result.fault = `record ${record} never came`
  else if (ring.length !== length) result.fault = `record ${record} has ${ring.length} bytes instead of ${length}`
  else {
    for (let i = 0; i < length; i++) {
      if (ring.bytes[at + i] !== byteOf(record, i)) result.fault = `record ${record} differs at byte ${i}`
    }
    ring.release()
    result.bytes += length
  }
}

meet(ready)
const step = role === 'produce' ? produce : consume
for (let record = 0; record < records && result.fault === ''; record++) step(record)
answer(result)
