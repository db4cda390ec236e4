import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Batch } from '../../src/memory/batch.js'
import { Counter } from '../../src/memory/counters.js'
import { Field, type FlowId } from '../../src/memory/flow-table.js'
import { Switch } from '../../src/memory/shared-stack.js'
import { Span } from '../../src/memory/span.js'
import { native } from '../../src/native.js'
import { Egress } from '../../src/path/egress.js'
import { counting } from '../support/datagrams.js'
import { type Emitted, summary } from '../support/emitted.js'
import { type FlowFields, MemoryStack, type MemoryStackOptions } from '../support/memory-stack.js'
import { localPort, ports, remote4, remotePort } from '../support/packets.js'

const open = (t: Test, options: MemoryStackOptions = {}) => {
  const stack = new MemoryStack(options)
  const { flows } = stack.memory
  const egress = new Egress(stack.memory, stack.memory.counters(0))
  t.teardown(() => {
    egress.close()
    stack.close()
  })
  const body = Uint8Array.from(counting(70_000))
  /** Sends bytes `at` … `at + bytes` of `body` on a flow. */
  const send = (flow: FlowId, bytes: number, segmentSize: number, now = 0, at = 0) =>
    egress.dataOf(flow, new Span().over(body.subarray(at, at + bytes), segmentSize), now)
  const sent = () => stack.emitted().map(summary)
  return { stack, flows, egress, body, send, sent, add: (fields: FlowFields = {}) => stack.add(fields) }
}

const loopback = Uint8Array.of(127, 0, 0, 1)
const joined = (frames: Emitted[]) => frames.flatMap(frame => [...frame.payload])
const sizes = [0, 10, 12] as const

t.test('one datagram: headers of a stock peer, and the virtio-net header', async t => {
  for (const virtioSize of sizes) {
    for (const family of [4, 6] as const) {
      const { stack, add, send } = open(t, { virtioSize })
      const flow = add({ family, ipId: 0xabcd })
      t.equal(send(flow, 100, 1400), 1)
      const [frame, ...more] = stack.emitted()
      t.equal(more.length, 0)
      t.match(frame, { family, flags: 'ACK', seq: 1000, ack: 5000, id: family === 4 ? 0xabcd : 0 })
      t.equal(frame.ports, ports >>> 0)
      t.strictSame([...frame.payload], counting(100))
      t.equal(frame.tcpHeader.length, 20)
      const ip = family === 4 ? 20 : 40
      const header = { flags: 1, gsoType: 0, hdrLen: ip + 20, gsoSize: 0, csumStart: ip, csumOffset: 16 }
      if (virtioSize > 0) t.strictSame(frame.virtio, header, 'NEEDS_CSUM, no GSO')
      t.strictSame(stack.raised(), { datagramsOut: 1, bytesOut: 100 })
      t.equal(stack.memory.counters(0)[Counter.packetsOut], 1)
    }
  }
})

t.test('a super-packet leaves whole where the kernel cuts it', async t => {
  for (const family of [4, 6] as const) {
    const { stack, add, send, flows } = open(t, { virtioSize: 12 })
    const flow = add({ family, ipId: 0xfffe })
    t.equal(send(flow, 3100, 1000, 77), 4)
    t.equal(send(flow, 1000, 1000, 78), 1)
    const [frame, next] = stack.emitted()
    t.equal(summary(frame), 'ACK 1000 5000 +3100')
    t.match(frame.virtio, { flags: 1, gsoType: family === 4 ? 1 : 4, gsoSize: 1000, hdrLen: family === 4 ? 40 : 60 })
    t.equal(summary(next), 'ACK 4100 5000 +1000')
    t.match(next.virtio, { flags: 1, gsoType: 0, gsoSize: 0 }, 'payload ≤ segment size: no GSO')
    if (family === 4) t.strictSame([frame.id, next.id], [0xfffe, 2], 'one IP id per segment, 16 bits')
    t.strictSame(stack.raised(), { datagramsOut: 5, bytesOut: 4100, superPacketsOut: 1 })
    t.equal(stack.memory.counters(0)[Counter.packetsOut], 2)
    t.equal(flows.count(flow.slot, Field.datagramsOut), 5)
    t.equal(flows.count(flow.slot, Field.bytesOut), 4100)
  }
})

/** A device whose packets are UDP datagrams: whatever is longer than one of those is refused (EMSGSIZE). */
const limitedDevice = (t: Test, stack: MemoryStack): void => {
  const ends = [native.udpOpen(4, 0), native.udpOpen(4, 0)]
  t.teardown(() => {
    for (const fd of ends) native.close(fd)
  })
  for (const fd of ends) native.socketBuffers(fd, 1 << 20, 1 << 20)
  for (const fd of ends) t.equal(native.udpBind(fd, loopback, 0, 0), 0)
  const [near, far] = ends
  t.equal(native.udpConnect(near, loopback, native.udpPort(far), 0), 0)
  const queues = stack.shared.device.queues as number[]
  for (const fd of [queues[0], ...stack.peers.splice(0, 1, far)]) native.close(fd)
  queues[0] = near
}

t.test('a device that refuses super-packets later loses nothing, and gets plain packets from then on', async t => {
  for (const family of [4, 6] as const) {
    const { stack, add, send, egress } = open(t, { virtioSize: 10 })
    limitedDevice(t, stack)
    const flow = add({ family, ipId: 7 })
    t.equal(send(flow, 1_000, 1_000), 1)
    t.match(stack.emitted()[0].virtio, { flags: 1 }, 'the kernel sums it up')
    t.equal(stack.memory.switches[Switch.headersRefused], 0)
    stack.raised()

    t.equal(send(flow, 65_470, 2_000), 33)
    const frames = stack.emitted()
    t.equal(frames.length, 33, 'nothing is lost')
    t.strictSame(joined(frames), counting(65_470))
    for (const { virtio } of frames) t.match(virtio, { flags: 0, gsoType: 0 })
    t.equal(stack.memory.switches[Switch.headersRefused], 90, 'EMSGSIZE')
    t.strictSame(stack.raised(), { datagramsOut: 33, bytesOut: 65_470, headersRefused: 1 })

    t.equal(send(flow, 3_000, 1_000), 3)
    egress.ack(flow.slot, 0)
    const later = stack.emitted()
    t.strictSame(
      later.map(({ payload }) => payload.length),
      [1_000, 1_000, 1_000, 0],
    )
    for (const { virtio } of later) t.match(virtio, { flags: 0, gsoType: 0 }, 'small ones, and ACKs, too')
    t.strictSame(stack.raised(), { datagramsOut: 3, bytesOut: 3_000, acksOut: 1 })
  }
})

t.test('a device that is down refuses plain packets too: that is no reason to give super-packets up', async t => {
  const { stack, add, send } = open(t, { virtioSize: 10 })
  const flow = add()
  for (const fd of stack.peers.splice(0)) native.close(fd)
  t.equal(send(flow, 3_000, 1_000), 0)
  t.equal(stack.memory.switches[Switch.headersRefused], 0)
  t.strictSame(stack.raised(), { deviceGone: 3 })
})

t.test('a super-packet is cut by software where there is no offload', async t => {
  const { stack, add, send } = open(t)
  for (const family of [4, 6] as const) {
    const flow = add({ family, ipId: 0xffff, nextSeq: 0xfffffff0 | 0 })
    t.equal(send(flow, 350, 100), 4)
    const frames = stack.emitted()
    t.strictSame(frames.map(summary), [
      'ACK 4294967280 5000 +100',
      'ACK 84 5000 +100',
      'ACK 184 5000 +100',
      'ACK 284 5000 +50',
    ])
    t.strictSame(joined(frames), counting(350))
    if (family === 4)
      t.strictSame(
        frames.map(({ id }) => id),
        [0xffff, 0, 1, 2],
      )
    t.strictSame(stack.raised(), { datagramsOut: 4, bytesOut: 350 })
  }
})

t.test('seq wraps at 2^32', async t => {
  const { add, send, sent, flows } = open(t, { virtioSize: 10 })
  const flow = add({ nextSeq: -50 })
  send(flow, 300, 100)
  send(flow, 10, 100)
  t.strictSame(sent(), ['ACK 4294967246 5000 +300', 'ACK 250 5000 +10'])
  t.equal(flows.load(flow.slot, Field.nextSeq), 260)
})

t.test('largest super-packets', async t => {
  t.equal(Egress.maxPayload(4), 65_495)
  t.equal(Egress.maxPayload(6), 65_475)
  for (const family of [4, 6] as const) {
    const { stack, add, send } = open(t, { virtioSize: 12 })
    t.ok(send(add({ family }), Egress.maxPayload(family), 1400) > 40)
    t.equal(stack.emitted()[0].payload.length, Egress.maxPayload(family))
  }
})

t.test('any pieces and sizes: the datagrams come out in order, cut where they should be', async t => {
  for (const virtioSize of [0, 12] as const) {
    const { stack, egress, body, add } = open(t, { virtioSize })
    const flow = add()
    const batch = new Batch(5)
    t.teardown(() => batch.close())
    const counts = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1400 }), counts, fc.nat({ max: 1399 }), (size, counts, tail) => {
        // Pieces hold whole datagrams; the last datagram of all may be shorter.
        const lengths = counts.map(count => count * size)
        lengths[lengths.length - 1] -= tail % size
        const expected: number[] = []
        let at = 0
        batch.reset(body, body, 65_535)
        for (const length of lengths) {
          at += 13
          batch.add({ at, length, segmentSize: size })
          expected.push(...body.subarray(at, at + length))
          at += length
        }
        const count = counts.reduce((sum, n) => sum + n, 0)
        const seq = stack.memory.flows.load(flow.slot, Field.nextSeq)
        const written = egress.data(flow, batch, 0)
        const frames = stack.emitted()
        const whole = virtioSize > 0
        return (
          written === count &&
          frames.length === (whole ? 1 : count) &&
          `${joined(frames)}` === `${expected}` &&
          frames.every((frame, i) => frame.seq === seq + i * size) &&
          (whole
            ? frames[0].virtio.gsoSize === (count > 1 ? size : 0)
            : frames.slice(0, -1).every(({ payload }) => payload.length === size))
        )
      }),
      { numRuns: 200 },
    )
  }
})

t.test('the ack number in data moves in steps of 32 KiB or 250 ms', async t => {
  const { add, send, sent, flows } = open(t)
  const flow = add({ nextAck: -100, sentAckAt: 10_000 })
  const ackAt = (nextAck: number, now: number) => {
    flows.store(flow.slot, Field.nextAck, nextAck)
    send(flow, 1, 1, now)
    return Number(sent()[0].split(' ')[2])
  }
  t.equal(ackAt(-100, 20_000), 2 ** 32 - 100, 'nothing new')
  t.equal(ackAt(-100 + 32_767, 10_249), 2 ** 32 - 100, 'neither 32 KiB nor 250 ms')
  t.equal(ackAt(-100 + 32_768, 10_249), 32_668, '32 KiB, across 2^32')
  t.equal(ackAt(32_669, 10_498), 32_668)
  t.equal(ackAt(32_669, 10_499), 32_669, '250 ms after the last step')
  t.equal(ackAt(32_669, 90_000), 32_669)
  t.equal(ackAt(32_670, 90_001), 32_670, 'long ago')
  flows.store(flow.slot, Field.sentAckAt, 2 ** 31 - 10)
  t.equal(ackAt(32_680, -(2 ** 31) + 239), 32_670, 'a clock that wraps')
  t.equal(ackAt(32_680, -(2 ** 31) + 240), 32_680)
})

t.test('bare ACKs, probes, SYN', async t => {
  for (const virtioSize of sizes) {
    const { stack, egress, add, sent, flows } = open(t, { virtioSize })
    const { slot } = add({ nextSeq: 7, nextAck: 0x90000000 | 0 })
    flows.store(slot, Field.sentAck, 1)
    flows.store(slot, Field.peerAck, 2)
    egress.ack(slot, 123)
    t.strictSame([flows.load(slot, Field.sentAck) >>> 0, flows.load(slot, Field.sentAckAt)], [0x90000000, 123])
    for (const back of [1, 2, 3]) egress.ack(slot, 124, back)
    t.strictSame(sent(), ['ACK 7 2415919104', 'ACK 1 2415919104', 'ACK 0 2415919104', 'ACK 4294967295 2415919104'])
    t.strictSame(stack.raised(), { acksOut: 1, challengesOut: 3 })
    t.equal(flows.load(slot, Field.nextSeq), 7, 'no sequence space is taken')
    egress.syn(slot)
    const [syn] = stack.emitted()
    t.equal(summary(syn), 'SYN 0 0')
    t.strictSame([...syn.tcpHeader.subarray(20)], [1, 3, 3, 14])
  }
})

t.test('reset is an ACK, then a RST', async t => {
  for (const family of [4, 6] as const) {
    const { stack, egress, add, send, sent } = open(t, { virtioSize: 12 })
    const flow = add({ family })
    send(flow, 5, 5)
    egress.reset(flow.slot, 1)
    t.strictSame(sent(), ['ACK 1000 5000 +5', 'ACK 1005 5000', 'RST 1005 0'])
    t.match(stack.raised(), { acksOut: 1, resetsOut: 1 })
  }
})

t.test('answers to what belongs to no flow', async t => {
  const { stack, egress } = open(t, { queues: 2 })
  egress.answer(1, { family: 4, ports, r0: remote4, r1: 0, r2: 0, r3: 0 }, 0x12, 0xfedcba98, 1)
  const [synAck] = stack.emitted(1)
  t.equal(summary(synAck), 'SYN|ACK 4275878552 1')
  t.equal(synAck.ports, ((remotePort << 16) | localPort) >>> 0)
  t.strictSame([...synAck.tcpHeader.subarray(20)], [1, 3, 3, 14])
  egress.refuse(0, { family: 6, ports, r0: 0xfcc90000 | 0, r1: 0, r2: 0, r3: 1 }, 5, 0xffffffff)
  t.strictSame(stack.emitted(0).map(summary), ['RST|ACK 5 4294967295'])
  t.strictSame(stack.raised(), { resetsOut: 1 })
})

t.test("packets leave on their flow's home queue", async t => {
  const { stack, egress, add, send } = open(t, { queues: 3 })
  const flow = add({ homeQueue: 2 })
  send(flow, 10, 10)
  egress.ack(flow.slot, 0)
  t.strictSame(
    [0, 1, 2].map(queue => stack.emitted(queue).length),
    [0, 0, 2],
  )
})

t.test('a stale generation writes nothing', async t => {
  const { stack, add, send, flows } = open(t)
  const flow = add()
  stack.end(flow)
  t.equal(send(flow, 10, 10), 0)
  flows.publish(flow.slot)
  t.equal(send(flow, 10, 10), 0)
  t.equal(flows.load(flow.slot, Field.nextSeq), 1000)
  t.strictSame(stack.emitted(), [])
  t.strictSame(stack.raised(), {})
})

t.test('what was refused gives its sequence space back and is counted', async t => {
  for (const virtioSize of [0, 12] as const) {
    const { stack, egress, add, send, flows } = open(t, { virtioSize })
    const flow = add()
    const seq = () => flows.load(flow.slot, Field.nextSeq) - 1000
    let through = 0
    while (send(flow, 1400, 1400) === 1) through++
    t.equal(seq(), through * 1400)
    t.strictSame(stack.raised(), { datagramsOut: through, bytesOut: through * 1400, writeFull: 1 })
    t.equal(send(flow, 2000, 1000), 0)
    t.strictSame(stack.raised(), { writeFull: 2 }, 'per datagram')
    egress.ack(flow.slot, 0)
    t.match(stack.raised(), { writeFull: 1 })
    t.equal(stack.memory.counters(0)[Counter.packetsOut], through)

    native.close(stack.peers[0])
    t.equal(send(flow, 2000, 1000), 0)
    t.strictSame(stack.raised(), { deviceGone: 2 })
    t.equal(seq(), through * 1400)
    t.equal(flows.count(flow.slot, Field.bytesOut), through * 1400)

    // An eventfd takes 8 bytes at a time and nothing else: EINVAL.
    native.close(stack.shared.device.queues[0])
    Object.assign(stack.shared.device.queues, [stack.shared.bellFds[0]])
    t.equal(send(flow, 100, 100), 0)
    t.strictSame(stack.raised(), { writeFailed: 1 })
    t.equal(seq(), through * 1400)
  }
})

t.test('a super-packet of which only the first segments found room', async t => {
  const { stack, add, send, flows } = open(t)
  const flow = add()
  while (send(flow, 1000, 1000) === 1);
  stack.take()
  stack.take()
  stack.raised()
  const seq = flows.load(flow.slot, Field.nextSeq)
  const before = flows.count(flow.slot, Field.bytesOut)
  const written = send(flow, 20_000, 1000)
  t.ok(written > 0 && written < 20, `${written} of 20`)
  const counts = { datagramsOut: written, bytesOut: written * 1000, writeFull: 20 - written }
  t.strictSame(stack.raised(), counts, 'only what was written counts')
  t.equal(flows.count(flow.slot, Field.bytesOut) - before, written * 1000)
  t.equal(flows.load(flow.slot, Field.nextSeq), seq + 20_000, 'the rest is a gap, as if lost')
})
