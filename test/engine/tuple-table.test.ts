import t from 'tap'
import { type NewFlow, TupleTable } from '../../src/engine/tuple-table.js'
import { ErrorCode } from '../../src/errors.js'
import type { FlowId } from '../../src/memory/flow-table.js'
import { Field, FlowTable, State } from '../../src/memory/flow-table.js'
import { TupleIndex } from '../../src/memory/tuple-index.js'
import { parseAddress } from '../../src/net/address.js'

const remote = parseAddress('192.0.2.1', 'remote')
const remote6 = parseAddress('2001:db8::1', 'remote')

const open = (capacity: number) => {
  const flows = FlowTable.allocate(capacity)
  return { flows, table: new TupleTable(flows, TupleIndex.allocate(flows, 12_345)) }
}
const flow = (fields: Partial<NewFlow> = {}): NewFlow => ({
  remote,
  remotePort: 80,
  localPort: 40_000,
  state: State.established,
  homeQueue: 1,
  consumer: 2,
  maxDatagram: 1460,
  service: -1,
  token: 5,
  nextSeq: 0xfffffff0,
  nextAck: 7,
  ...fields,
})

t.test('what is added can be found, and all of it stands in the slot', async t => {
  const { flows, table } = open(4)
  const { slot, generation } = table.add(flow(), 1_000)
  t.equal(table.find(remote, 80, 40_000), slot)
  t.equal(table.find(remote, 81, 40_000), -1)
  t.equal(table.find(remote, 80, 40_001), -1)
  t.equal(table.find(remote6, 80, 40_000), -1)
  t.ok(flows.alive({ slot, generation }))
  const word = (field: number) => flows.load(slot, field)
  t.same(
    [Field.family, Field.ports, Field.remote, Field.homeQueue, Field.consumer, Field.maxDatagram, Field.service].map(
      word,
    ),
    [4, (80 << 16) | 40_000, 0xc0000201 | 0, 1, 2, 1460, -1],
  )
  t.same([Field.token, Field.state, Field.nextAck, Field.sentAck, Field.lastSeen].map(word), [5, 2, 7, 7, 1_000])
  t.same([word(Field.nextSeq), word(Field.peerAck)], [0xfffffff0 | 0, 0xfffffff0 | 0])
  t.equal(table.size, 1)

  const six = table.add(flow({ remote: remote6, remotePort: 65_535, localPort: 65_535 }), 1_000)
  t.equal(table.find(remote6, 65_535, 65_535), six.slot)
  t.equal(table.size, 2)
})

t.test('what is removed is gone at once', async t => {
  const { flows, table } = open(4)
  const { slot, generation } = table.add(flow(), 1_000)
  flows.bump(slot, Field.datagramsIn, 9)
  table.remove(slot, remote, 80, 40_000, 1_000)
  t.equal(table.find(remote, 80, 40_000), -1)
  t.notOk(flows.alive({ slot, generation }))
  t.equal(flows.load(slot, Field.state), State.free)
  t.equal(flows.count(slot, Field.datagramsIn), 9, 'its counters can still be read')
  t.equal(table.size, 0)
})

t.test('a slot rests before it is used again', async t => {
  const { flows, table } = open(2)
  const first = table.add(flow(), 1_000)
  table.add(flow({ localPort: 40_001 }), 1_000)
  const full = { code: ErrorCode.TABLE_FULL, message: /All 2 connections/ }
  t.throws(() => table.add(flow({ localPort: 40_002 }), 1_000), full)
  table.remove(first.slot, remote, 80, 40_000, 1_000)
  t.throws(() => table.add(flow({ localPort: 40_002 }), 1_099), full)
  const again = table.add(flow({ localPort: 40_002 }), 1_100)
  t.equal(again.slot, first.slot)
  t.not(again.generation, first.generation)
  t.notOk(flows.alive(first))
  t.equal(flows.count(again.slot, Field.datagramsIn), 0)
  t.throws(() => table.add(flow({ localPort: 40_003 }), 9_000), full)
})

t.test('every slot is used, again and again, never two at once', async t => {
  const { flows, table } = open(64)
  const generations = new Set<string>()
  let now = 0
  for (let round = 0; round < 60; round++) {
    const ids: FlowId[] = []
    for (let i = 0; i < 64; i++) ids.push(table.add(flow({ localPort: 1 + i, remotePort: 1 + round }), now))
    t.equal(new Set(ids.map(({ slot }) => slot)).size, 64)
    for (const { slot, generation } of ids) generations.add(`${slot},${generation}`)
    for (const [i, { slot }] of ids.entries()) {
      if (table.find(remote, 1 + round, 1 + i) !== slot) t.fail(`flow ${i}`)
      table.remove(slot, remote, 1 + round, 1 + i, now)
    }
    t.equal(table.size, 0)
    now += 100
  }
  t.equal(generations.size, 64 * 60, 'no connection is named like another')
  t.equal(flows.capacity, 64)
})

t.test('quarantine', async t => {
  const { table } = open(4)
  const close = (remotePort: number, now: number) => {
    const { slot } = table.add(flow({ remotePort }), now)
    table.remove(slot, remote, remotePort, 40_000, now)
  }
  const quarantined = (remotePort: number, now: number) => table.quarantined(remote, remotePort, 40_000, now)
  close(1, 1_000)
  t.ok(quarantined(1, 1_000))
  t.notOk(quarantined(2, 1_000))
  t.notOk(table.quarantined(remote6, 1, 40_000, 1_000))
  t.notOk(table.quarantined(remote, 1, 40_001, 1_000))
  close(2, 2_000)
  t.ok(quarantined(1, 2_999))
  t.notOk(quarantined(1, 3_000))
  t.ok(quarantined(2, 3_000))
  t.notOk(quarantined(2, 4_000))
  close(3, 5_000)
  close(3, 6_000)
  t.ok(quarantined(3, 7_999), 'it counts from the last close')
  t.notOk(quarantined(3, 8_000))
  const reusable = (now: number) => table.reusable(remote, 3, 40_000, now)
  t.notOk(reusable(8_999), 'the peer may have closed it a little later')
  t.ok(reusable(9_000))
  t.ok(table.reusable(remote, 4, 40_000, 6_000), 'a tuple that nobody has closed')
})
