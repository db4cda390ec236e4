import t, { type Test } from 'tap'
import { Field } from '../../src/memory/flow-table.js'
import { AckSchedule } from '../../src/path/ack-schedule.js'
import { Egress } from '../../src/path/egress.js'
import { summary } from '../support/emitted.js'
import { type FlowFields, MemoryStack } from '../support/memory-stack.js'
import { ports } from '../support/packets.js'

const open = (t: Test, capacity = 16) => {
  const stack = new MemoryStack({ capacity })
  const { flows } = stack.memory
  const egress = new Egress(stack.memory, stack.memory.counters(0))
  const acks = new AckSchedule(flows, egress)
  t.teardown(() => {
    egress.close()
    stack.close()
  })
  const add = (fields: FlowFields = {}) => stack.add(fields).slot
  const receive = (slot: number, bytes: number) => {
    flows.advance(slot, Field.nextAck, flows.load(slot, Field.nextAck) + bytes)
    acks.owes(slot)
  }
  const tick = (now: number) => {
    acks.tick(now)
    return stack.emitted().map(summary)
  }
  return { stack, flows, acks, add, receive, tick }
}

t.test('one ACK, a second after the last one', async t => {
  const { add, receive, tick, flows, stack } = open(t)
  const slot = add({ sentAckAt: 10_000 })
  t.strictSame(tick(20_000), [], 'nothing owed')
  receive(slot, 100)
  receive(slot, 100)
  t.strictSame(tick(10_999), [])
  receive(slot, 100)
  t.strictSame(tick(11_000), ['ACK 1000 5300'])
  t.equal(flows.load(slot, Field.sentAck), 5300)
  t.equal(flows.load(slot, Field.sentAckAt), 11_000)
  t.strictSame(tick(60_000), [], 'paid')
  t.strictSame(stack.raised(), { acksOut: 1 })
  receive(slot, 1)
  t.strictSame(tick(60_001), ['ACK 1000 5301'], 'owed again')
})

t.test('data that carried the ack number settles the debt', async t => {
  const { add, receive, tick, flows } = open(t)
  const slot = add({ sentAckAt: 0 })
  receive(slot, 100)
  flows.store(slot, Field.sentAck, 5100)
  t.strictSame(tick(5000), [])
  t.strictSame(tick(10_000), [])
})

t.test('flows wait for themselves', async t => {
  const { add, receive, tick } = open(t)
  const slots = [0, 300, 600, 100].map((sentAckAt, i) => add({ sentAckAt, ports: ports + i, nextSeq: i }))
  for (const slot of slots) receive(slot, 8)
  t.strictSame(tick(1000), ['ACK 0 5008'])
  t.strictSame(tick(1299), ['ACK 3 5008'])
  receive(slots[0], 8)
  t.strictSame(tick(1600), ['ACK 1 5008', 'ACK 2 5008'])
  t.strictSame(tick(2000), ['ACK 0 5016'])
  t.strictSame(tick(9000), [])
})

t.test('a flow that only receives is acknowledged well within 5 s, across a wrap of the clock', async t => {
  const { add, receive, tick } = open(t)
  const start = 2 ** 31 - 10_000
  const slot = add({ sentAckAt: start })
  const times: number[] = [start]
  for (let now = start; now < start + 20_000; now += 250) {
    receive(slot, 10)
    if (tick(now).length > 0) times.push(now)
  }
  const gaps = times.slice(1).map((time, i) => time - times[i])
  t.ok(gaps.length > 10)
  t.ok(Math.max(...gaps) <= 1250, `${gaps}`)
})

t.test('an ack number that jumped far is owed too', async t => {
  const { add, tick, flows, acks } = open(t)
  const slot = add()
  flows.store(slot, Field.nextAck, (5000 + 2 ** 31 + 5) | 0)
  acks.owes(slot)
  t.strictSame(tick(1000), [`ACK 1000 ${5000 + 2 ** 31 + 5}`])
})

t.test('a slot that changed hands owes nothing', async t => {
  const { stack, add, receive, tick } = open(t, 1)
  const flow = stack.add({ sentAckAt: 0 })
  receive(flow.slot, 10)
  stack.end(flow)
  t.equal(add({ nextSeq: 7 }), flow.slot)
  t.strictSame(tick(5000), [])
  receive(flow.slot, 1)
  t.strictSame(tick(10_000), ['ACK 7 5001'], 'and may be listed again')
})
