/**
 * One delivery on its way to another thread, and the doorbell beside it. Both ends are on this thread, so the figure is
 * the cost of the work alone.
 */
import { bench, do_not_optimize, group } from 'mitata'
import { Delivery, DeliveryRing } from '../../src/memory/delivery-ring.js'
import { Doorbell } from '../../src/memory/doorbell.js'
import { LaneReader, LaneWriter, laneBytes } from '../../src/memory/lane.js'
import { Span } from '../../src/memory/span.js'
import { native } from '../../src/native.js'

/** Records of a ring and bytes of a lane, as many as a stack has by default. */
const RECORDS = 8192
const CAPACITY = 4 * 1024 * 1024

group('delivery ring', () => {
  const shared = new SharedArrayBuffer(DeliveryRing.bytesFor(RECORDS))
  const [producer, consumer] = [new DeliveryRing(shared, 0, RECORDS), new DeliveryRing(shared, 0, RECORDS)]
  bench('reserve, commit, peek, release', () => {
    do_not_optimize(producer.reserve())
    producer.commit()
    do_not_optimize(consumer.peek())
    consumer.release()
  })
  const full = new DeliveryRing(new SharedArrayBuffer(DeliveryRing.bytesFor(RECORDS)), 0, RECORDS)
  while (full.reserve() >= 0) full.commit()
  bench('a full ring refuses', () => do_not_optimize(full.reserve()))
})

group('lane', () => {
  const flow = { slot: 1, generation: 2 }
  for (const size of [64, 1400, 65_000]) {
    const shared = new SharedArrayBuffer(laneBytes(CAPACITY))
    const writer = new LaneWriter(shared, 0, CAPACITY, () => {})
    const reader = new LaneReader(shared, 0, CAPACITY)
    const source = new Span().over(new Uint8Array(size), 1400)
    const deliver = (span: Span): void => {
      if (!writer.put(flow, span)) throw new Error('the lane is full')
      writer.settle()
      const record = reader.ring.peek()
      reader.release(reader.ring.words[record + Delivery.at])
      reader.ring.release()
    }
    const here = new Span()
    here.memory = writer.arena
    here.length = size
    here.segmentSize = 1400
    const text = `${size.toLocaleString('en-US')} bytes`
    bench(`${text}: read in place, delivered, given back`, () => {
      if (!writer.makeRoom()) throw new Error('the lane is full')
      here.at = writer.at
      deliver(here)
    })
    bench(`${text}: copied, delivered, given back`, () => deliver(source))
  }
})

group('doorbell', () => {
  const bell = new Doorbell(new SharedArrayBuffer(Doorbell.bytes), 0, native.eventOpen(), fd => native.eventRing(fd))
  bench('ring, the consumer is awake', () => do_not_optimize(bell.ring()))
  bench('arm, ring, drain: the consumer sleeps', () => {
    bell.arm()
    do_not_optimize(bell.ring())
    native.eventDrain(bell.fd)
  })
})
