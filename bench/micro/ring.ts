/** One record through a packet ring, and the bell beside it; both ends on this thread, so the cost is that of the work alone. */
import { bench, do_not_optimize, group } from 'mitata'
import { Doorbell } from '../../src/memory/doorbell.js'
import { PacketRing } from '../../src/memory/packet-ring.js'
import { native } from '../../src/native.js'

const CAPACITY = 4 * 1024 * 1024

const pair = (): { producer: PacketRing; consumer: PacketRing } => {
  const shared = new SharedArrayBuffer(PacketRing.bytesFor(CAPACITY))
  return { producer: new PacketRing(shared, 0, CAPACITY), consumer: new PacketRing(shared, 0, CAPACITY) }
}

group('packet ring', () => {
  for (const size of [64, 1400, 65_536]) {
    const text = size.toLocaleString('en-US')
    const { producer, consumer } = pair()
    bench(`${text} bytes: reserve, commit, peek, release`, () => {
      do_not_optimize(producer.reserve(size))
      producer.commit()
      do_not_optimize(consumer.peek())
      consumer.release()
    })
    const source = native.arenaOpen(new Uint8Array(size))
    const sink = native.arenaOpen(new Uint8Array(size))
    const copied = pair()
    const ring = native.arenaOpen(copied.producer.bytes)
    bench(`${text} bytes: the same, copied in and out`, () => {
      const to = copied.producer.reserve(size)
      native.copy(ring, to, source, 0, size)
      copied.producer.commit()
      const from = copied.consumer.peek()
      native.copy(sink, 0, ring, from, size)
      copied.consumer.release()
    })
  }
  const full = pair().producer
  while (full.reserve(65_536) >= 0) full.commit()
  bench('a full ring refuses', () => do_not_optimize(full.reserve(65_536)))
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
