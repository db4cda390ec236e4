/** Inbound: segments of established connections. */
import t, { type Test } from 'tap'
import { Field } from '../../src/memory/flow-table.js'
import { counting } from '../support/datagrams.js'
import { InboundUnderTest, type Outcome } from '../support/inbound.js'
import type { FlowFields, MemoryStackOptions } from '../support/memory-stack.js'
import { ACK, FIN, type FrameFields, PSH, ports, RST, remotePort, SYN } from '../support/packets.js'

const window = 64 * 1024 * 1024
const payload = [1, 2, 3, 4, 5]

/** One established flow: we send from 1000 on, the peer from 5000. */
const open = (t: Test, flow: FlowFields = {}, options: MemoryStackOptions = {}) => {
  const under = new InboundUnderTest(t, options)
  const id = under.stack.add(flow)
  const { flows } = under.stack.memory
  const { family = 4, nextSeq = 1000, nextAck = 5000 } = flow
  const receive = (fields: FrameFields) =>
    under.receive({
      family,
      flags: ACK,
      ...fields,
      seq: (fields.seq ?? nextAck) >>> 0,
      ack: (fields.ack ?? nextSeq) >>> 0,
    })
  const word = (field: number) => flows.load(id.slot, field) >>> 0
  return { under, flows, id, receive, word }
}

const delivered = (bytes: number[], segmentSize = bytes.length) => [
  { slot: 0, generation: 2, segmentSize, payload: bytes },
]
const accepted: Outcome = { raised: { datagramsIn: 1, bytesIn: 5 }, delivered: delivered(payload) }
const owing: Outcome = { ...accepted, owed: [0] }
const challenged = { raised: { resetNotExact: 1, challengesOut: 1 }, sent: ['ACK 999 5000'] }
const reset: Outcome = { reports: [{ kind: 'reset', slot: 0, generation: 2 }] }

/** Stimulus, what it causes, and the next expected byte afterwards (5000: not moved). */
const rows: [name: string, stimulus: FrameFields, outcome: Outcome, nextAck: number][] = [
  ['data in sequence', { payload }, owing, 5005],
  ['data, PSH', { flags: ACK | PSH, payload }, owing, 5005],
  ['data again, an overlap', { seq: 4998, payload }, owing, 5003],
  ['data ahead, a gap', { seq: 9000, payload }, owing, 9005],
  ['data reordered behind', { seq: 4000, payload }, accepted, 5000],
  ['data that ends at the next expected byte', { seq: 4995, payload }, accepted, 5000],
  [
    'data at the end of the window',
    { seq: 5000 + window, payload },
    {
      raised: { datagramsIn: 1, bytesIn: 5, acksOut: 1 },
      sent: [`ACK 1000 ${5005 + window}`],
      delivered: delivered(payload),
    },
    5005 + window,
  ],
  ['data at the begin of the window', { seq: 5000 - window, payload }, accepted, 5000],
  ['data just after the window', { seq: 5001 + window, payload }, { raised: { seqOutOfWindow: 1 } }, 5000],
  ['data just before the window', { seq: 4999 - window, payload }, { raised: { seqOutOfWindow: 1 } }, 5000],
  ['data at +2^31', { seq: 5000 + 2 ** 31, payload }, { raised: { seqOutOfWindow: 1 } }, 5000],
  ['ack of unsent data', { ack: 1001, payload }, { raised: { ackOfUnsentData: 1 } }, 5000],
  ['ack of unsent data, far', { ack: 999 + 2 ** 31, payload }, { raised: { ackOfUnsentData: 1 } }, 5000],
  ['old ack', { ack: 900, payload }, owing, 5005],
  ['old ack, as old as is believed', { ack: 1000 - 2 ** 28, payload }, owing, 5005],
  ['very old ack', { ack: 1000 - 2 ** 28 - 1, payload }, { raised: { ackTooOld: 1 } }, 5000],
  ['bare ACK', {}, {}, 5000],
  ['bare ACK ahead: data before it was lost', { seq: 7000 }, {}, 7000],
  ['bare ACK out of window', { seq: 5001 + window }, { raised: { seqOutOfWindow: 1 } }, 5000],
  ['bare ACK behind', { seq: 4996 }, {}, 5000],
  ['probe, −1', { seq: 4999 }, { raised: { acksOut: 1 }, sent: ['ACK 1000 5000'] }, 5000],
  ['probe, −2', { seq: 4998 }, { raised: { acksOut: 1 }, sent: ['ACK 1000 5000'] }, 5000],
  ['probe, −3', { seq: 4997 }, { raised: { acksOut: 1 }, sent: ['ACK 1000 5000'] }, 5000],
  ['RST, exact', { flags: RST, ack: 0 }, reset, 5000],
  ['RST|ACK, exact', { flags: RST | ACK }, reset, 5000],
  ['RST, −1', { flags: RST, seq: 4999 }, challenged, 5000],
  ['RST, +1', { flags: RST, seq: 5001 }, challenged, 5000],
  ['RST|ACK, +1', { flags: RST | ACK, seq: 5001 }, challenged, 5000],
  ['RST, +2^31', { flags: RST, seq: 5000 + 2 ** 31 }, challenged, 5000],
  ['RST, seq 0', { flags: RST, seq: 0, ack: 0 }, challenged, 5000],
  [
    'SYN: a peer that started anew',
    { flags: SYN, seq: 0, ack: 0 },
    { raised: { unexpectedFlags: 1, challengesOut: 1 }, sent: ['ACK 999 5000'] },
    5000,
  ],
  [
    'SYN, exact seq',
    { flags: SYN },
    { raised: { unexpectedFlags: 1, challengesOut: 1 }, sent: ['ACK 999 5000'] },
    5000,
  ],
  [
    'SYN+ACK: our ACK was lost',
    { flags: SYN | ACK, seq: 0, ack: 1 },
    { raised: { unexpectedFlags: 1, acksOut: 1 }, sent: ['ACK 1000 5000'] },
    5000,
  ],
  ['FIN', { flags: FIN | ACK, payload }, { raised: { unexpectedFlags: 1 } }, 5000],
]

t.test('state × stimulus', async t => {
  for (const family of [4, 6] as const) {
    for (const [name, stimulus, outcome, nextAck] of rows) {
      const { receive, word } = open(t, { family }, { virtioSize: family === 4 ? 0 : 10 })
      t.strictSame(receive(stimulus), outcome, `${name}, IPv${family}`)
      t.equal(word(Field.nextAck), nextAck, 'next expected byte')
      t.equal(word(Field.nextSeq), 1000)
    }
  }
})

t.test('the same, with numbers around 2^32', async t => {
  const moved = (name: string, stimulus: FrameFields, expected: Outcome, nextAck: number) => {
    const { receive, word } = open(t, { nextSeq: 3, nextAck: -2 })
    t.strictSame(receive(stimulus), expected, name)
    t.equal(word(Field.nextAck), nextAck >>> 0)
  }
  moved('a datagram across', { payload }, owing, 3)
  moved('ahead', { seq: 1, payload }, owing, 6)
  moved('behind', { seq: 0xfffffff0, payload }, accepted, -2)
  moved('an old ack', { ack: 0xffffff00, payload }, owing, 3)
  moved('ack of unsent data', { ack: 4, payload }, { raised: { ackOfUnsentData: 1 } }, -2)
  moved('RST, exact', { flags: RST }, reset, -2)
  moved('RST, +2', { flags: RST, seq: 0 }, { ...challenged, sent: ['ACK 2 4294967294'] }, -2)
  moved('a probe', { seq: -3 }, { raised: { acksOut: 1 }, sent: ['ACK 3 4294967294'] }, -2)
})

t.test('a super-packet is delivered whole, with its boundaries', async t => {
  const { receive, word, flows } = open(t, { nextAck: -1000 }, { virtioSize: 12 })
  const bytes = counting(2500)
  t.strictSame(receive({ payload: bytes, virtio: { gsoType: 1, gsoSize: 1000 } }), {
    raised: { datagramsIn: 3, bytesIn: 2500, superPacketsIn: 1 },
    delivered: delivered(bytes, 1000),
    owed: [0],
  })
  t.equal(word(Field.nextAck), 1500, 'across 2^32')
  t.equal(flows.count(0, Field.datagramsIn), 3)
  t.equal(flows.count(0, Field.bytesIn), 2500)
})

t.test('the peer’s ack moves forward only; last seen is noted', async t => {
  const { receive, word, under } = open(t)
  for (const [ack, expected] of [
    [900, 1000],
    [1000, 1000],
  ]) {
    receive({ ack })
    t.equal(word(Field.peerAck), expected)
  }
  under.stack.memory.flows.store(0, Field.nextSeq, 3000)
  receive({ ack: 2000 })
  receive({ ack: 1500, payload })
  t.equal(word(Field.peerAck), 2000)
  under.now += 5000
  receive({})
  t.equal(word(Field.lastSeen), under.now)
  under.now += 5000
  receive({ flags: RST, seq: 1 })
  receive({ seq: 5000 + 2 ** 30, payload })
  t.equal(word(Field.lastSeen), under.now - 5000, 'what is not acceptable proves nothing')
})

t.test('challenges and answers to probes: one per connection in 500 ms', async t => {
  const { receive, under } = open(t, { nextSeq: 77 })
  under.stack.add({ ports: ports + (1 << 16), nextSeq: 77 })
  const probe = { seq: 4999 }
  const wrongReset = { flags: RST, seq: 1 }
  t.strictSame(receive(probe).sent, ['ACK 77 5000'])
  t.strictSame(receive(probe), {})
  t.strictSame(receive(wrongReset), { raised: { resetNotExact: 1 } })
  t.strictSame(receive({ flags: SYN }), { raised: { unexpectedFlags: 1 } })
  t.strictSame(receive({ ...wrongReset, sourcePort: remotePort + 1 }).sent, ['ACK 76 5000'], 'each for itself')
  under.now += 499
  t.strictSame(receive(probe), {})
  under.now += 1
  t.strictSame(receive(wrongReset).sent, ['ACK 76 5000'])
  t.strictSame(receive(probe), {})
  under.now += 1_000_000
  t.strictSame(receive(probe).sent, ['ACK 77 5000'])
})

t.test('a RST with a wrong number is asked about, at the latest when the limit lets it', async t => {
  const { receive, under } = open(t, { nextSeq: 77 })
  const wrongReset = { flags: RST, seq: 1 }
  t.strictSame(receive(wrongReset).sent, ['ACK 76 5000'])
  under.now += 100
  for (let i = 0; i < 3; i++) t.strictSame(receive(wrongReset), { raised: { resetNotExact: 1 } })
  t.strictSame(under.wait(399), {})
  t.strictSame(under.wait(1), { raised: { challengesOut: 1 }, sent: ['ACK 76 5000'] }, 'one for the three')
  t.strictSame(under.wait(10_000), {})
  receive(wrongReset)
  receive(wrongReset)
  under.now += 499
  t.strictSame(receive({ seq: 4999 }), {}, 'a probe meanwhile')
  t.strictSame(under.wait(1).sent, ['ACK 76 5000'])
  receive(wrongReset)
  under.stack.end({ slot: 0, generation: 2 })
  t.strictSame(under.wait(500), {}, 'the connection is gone')
  under.stack.add({ ports, nextSeq: 500 })
  t.strictSame(receive(wrongReset).sent, ['ACK 499 5000'], 'and the next one in its slot owes nothing')
})

t.test('a peer that is gone answers the challenge with a RST that is exact', async t => {
  const { receive, under } = open(t)
  t.strictSame(receive({ flags: RST, seq: 4000 }).sent, ['ACK 999 5000'])
  // Stock: RST|ACK, seq = our ack, ack = our seq.
  t.strictSame(receive({ flags: RST | ACK, seq: 5000, ack: 999 }), reset)
  under.stack.end({ slot: 0, generation: 2 })
  t.strictSame(receive({ flags: RST | ACK, seq: 5000, ack: 999 }), { raised: { strayReset: 1 } })
})

t.test('resynchronisation: two far segments in sequence, not one', async t => {
  const far = 5000 + 2 ** 30
  const refused = { raised: { seqOutOfWindow: 1 } }
  const { receive, word } = open(t)
  t.strictSame(receive({ seq: far, payload }), refused)
  t.strictSame(receive({ seq: far, payload }), refused, 'the same again is no sequence')
  t.strictSame(receive({ seq: far + 6, payload }), refused, 'a gap')
  t.strictSame(receive({ seq: far + 11 }), refused, 'a bare ACK vouches for nothing')
  t.match(receive({ payload }), { delivered: delivered(payload) }, 'the connection goes on meanwhile')
  t.match(receive({ seq: far + 11, payload }), { delivered: delivered(payload), sent: [`ACK 1000 ${far + 16}`] })
  t.equal(word(Field.nextAck), far + 16)
  t.match(receive({ seq: far + 16, payload }), { delivered: delivered(payload) })
  t.strictSame(receive({ payload }), refused, 'the old place is far now')
})

t.test('resynchronisation is not to be had for one segment with a lucky number', async t => {
  const { receive, word } = open(t, { nextAck: 2 ** 30 })
  t.strictSame(receive({ seq: 0, payload }), { raised: { seqOutOfWindow: 1 } }, 'seq 0')
  t.strictSame(receive({ seq: 0, payload }), { raised: { seqOutOfWindow: 1 } })
  t.equal(word(Field.nextAck), 2 ** 30)
  // A jump that was vouched for vouches for that jump alone.
  receive({ seq: 2 ** 31, payload })
  t.match(receive({ seq: 2 ** 31 + 5, payload }), { delivered: delivered(payload) })
  for (let seq = 2 ** 31 + window; seq < 2 ** 31 + 3 * window; seq += window) receive({ seq, payload })
  t.strictSame(receive({ seq: 2 ** 31 + 5, payload }), { raised: { seqOutOfWindow: 1 } })
})

t.test('resynchronisation by more than 2^31 bytes is acknowledged too', async t => {
  const { receive, word } = open(t)
  const far = 5000 + 2 ** 31 + 2 ** 20
  receive({ seq: far, payload })
  t.match(receive({ seq: far + 5, payload }), { delivered: delivered(payload), sent: [`ACK 1000 ${far + 10}`] })
  t.equal(word(Field.nextAck), far + 10)
  t.match(receive({ seq: far + 10, payload }), { owed: [0] })
})

t.test('a one-way flow: a bare ACK every 32 KiB of its first MiB', async t => {
  const { receive } = open(t)
  const bytes = counting(1024)
  const acks: number[] = []
  for (let seq = 5000; seq < 5000 + 1.5 * 1024 * 1024; seq += bytes.length) {
    acks.push(...(receive({ seq, payload: bytes }).sent ?? []).map(line => Number(line.split(' ')[2])))
  }
  t.strictSame(
    acks,
    Array.from({ length: 32 }, (_, i) => 5000 + (i + 1) * 32 * 1024),
    'conntrack takes the window for 64 KiB until then',
  )
})

t.test(
  'a one-way flow: a bare ACK after each further MiB, a fast one 10 ms apart; else the schedule owes it',
  async t => {
    const bytes = counting(64 * 1024 - 1024)
    for (const [pause, least] of [
      [1, 1],
      [0.5, 1.15],
    ] as const) {
      const { under, receive } = open(t)
      const acks: number[] = []
      for (let seq = 5000; seq < 5000 + 4.5 * 1024 * 1024; seq += bytes.length) {
        under.now += pause
        const { sent, owed } = receive({ seq, payload: bytes })
        if (sent === undefined) t.strictSame(owed, [0])
        else acks.push(...sent.map(line => Number(line.split(' ')[2])))
      }
      const steps = acks
        .slice(1)
        .map((ack, i) => (ack - acks[i]) / 2 ** 20)
        .filter(step => step > 0.5)
      t.ok(steps.length >= 2, `${pause} ms`)
      for (const step of steps) t.ok(step >= least && step < least + 0.1, `${pause} ms: ${step} MiB`)
    }
  },
)

t.test('a one-way flow: a bare ACK after 16 MiB whatever the clock says', async t => {
  const { flows, id, receive, under } = open(t)
  const short = 16 * 1024 * 1024 - payload.length
  flows.store(id.slot, Field.bytesIn, 2 ** 21)
  flows.store(id.slot, Field.sentAckAt, under.now)
  flows.store(id.slot, Field.sentAck, 5000 - short + 1)
  t.match(receive({ payload }), { owed: [0], sent: undefined })
  flows.store(id.slot, Field.sentAck, 5005 - short)
  t.match(receive({ seq: 5005, payload }), { owed: undefined, sent: ['ACK 1000 5010'] })
})

t.test('a connection that ended is a stranger in the same pass, its successor a connection', async t => {
  const { under, receive, id } = open(t)
  t.match(receive({ payload }), { delivered: delivered(payload) })
  under.stack.end(id)
  t.match(receive({ seq: 5005, payload }), { raised: { unknownTuple: 1 }, sent: ['RST|ACK 1000 5010'] })
  const next = under.stack.add()
  t.match(receive({ payload }), { delivered: [{ ...next, payload }] }, 'another slot, the same tuple')
  under.stack.end(next)
  t.match(receive({ payload }), { raised: { unknownTuple: 1 } })
})
