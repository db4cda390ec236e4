/** Inbound: from a valid cookie to the coordinator's answer. */
import t, { type Test } from 'tap'
import { Field } from '../../src/memory/flow-table.js'
import type { Report } from '../../src/path/messages.js'
import { Openings } from '../../src/path/opening.js'
import {
  ACK,
  counting,
  FIN,
  type FrameFields,
  localPort,
  ports,
  RST,
  remote4,
  remote6,
  SYN,
} from '../support/frames.js'
import { InboundUnderTest } from '../support/inbound.js'
import type { MemoryStackOptions } from '../support/memory-stack.js'

type Open = Extract<Report, { kind: 'open' }>
const payload = [1, 2, 3, 4, 5]

/** A listener that has answered a SYN; `cookie` is the sequence number it chose. */
const open = (t: Test, family: 4 | 6 = 4, options: MemoryStackOptions = {}) => {
  const under = new InboundUnderTest(t, options)
  under.stack.listen(localPort)
  const [synAck] = under.receive({ family, flags: SYN, seq: 0, ack: 0 }).sent ?? []
  const cookie = Number(synAck.split(' ')[1])
  const receive = (fields: FrameFields) =>
    under.receive({ family, flags: ACK, seq: 1, ack: (cookie + 1) >>> 0, ...fields })
  /** Completes the handshake; the report. */
  const third = (fields: FrameFields = {}) => receive(fields).reports?.[0] as Open
  /** The coordinator makes the connection. */
  const opened = ({ key, seq, ack }: Open) => {
    const { slot, generation } = under.stack.add({ family, nextSeq: ack | 0, nextAck: seq | 0 })
    return under.opened(key, slot, generation)
  }
  return { under, cookie, receive, third, opened }
}

t.test('the third packet asks for a connection; nothing is answered yet', async t => {
  for (const family of [4, 6] as const) {
    const { under, cookie, receive } = open(t, family)
    const remote = family === 4 ? [remote4 | 0, 0, 0, 0] : remote6.map(word => word | 0)
    const tuple = { family, ports, remote } as unknown as Open['tuple']
    const key = `${ports},${remote},${family}`
    const report: Open = { kind: 'open', tuple, key, seq: 1, ack: cookie + 1 }
    t.strictSame(receive({}), { reports: [report] })
    t.strictSame(receive({}), {}, 'a duplicate asks once')
    t.equal(under.inbound.openings.size, 1)
  }
})

t.test('payload of the third packet is delivered once the connection exists', async t => {
  for (const virtioSize of [0, 12] as const) {
    const { third, opened, under, cookie } = open(t, 4, { virtioSize })
    const report = third({ payload })
    t.equal(report.seq, 1)
    t.strictSame(opened(report), {
      raised: { datagramsIn: 1, bytesIn: 5 },
      delivered: [{ slot: 0, generation: 2, segmentSize: 5, payload }],
      owed: [0],
    })
    const { flows } = under.stack.memory
    t.equal(flows.load(0, Field.nextAck), 6)
    t.equal(flows.load(0, Field.nextSeq) >>> 0, cookie + 1)
    t.equal(under.inbound.openings.size, 0)
  }
})

t.test('lost final ACK: the first data completes the handshake, also when some were lost before it', async t => {
  for (const seq of [1, 1401, 1 + 64 * 1024 * 1024]) {
    const { third, opened } = open(t)
    const report = third({ seq, payload })
    t.equal(report.seq, seq)
    t.match(opened(report), { delivered: [{ payload }] })
  }
})

t.test('a stock client that saw a duplicate of our SYN+ACK: ack is the cookie itself', async t => {
  const { cookie, receive, opened, under } = open(t)
  const report = receive({ ack: cookie, payload }).reports?.[0] as Open
  t.equal(report.ack, cookie + 1)
  t.match(opened(report), { delivered: [{ payload }] })
  t.match(receive({ ack: cookie, seq: 6, payload }), { delivered: [{ payload }] }, 'and goes on with that number')
  t.equal(under.stack.memory.flows.load(0, Field.peerAck) >>> 0, cookie + 1, 'the ack never moves back')
})

t.test('what is no answer to a cookie', async t => {
  const { cookie, receive, under } = open(t)
  const raised = { unknownTuple: 1, resetsOut: 1 }
  const far = 2 + 64 * 1024 * 1024
  t.strictSame(receive({ seq: far }), { raised, sent: [`RST|ACK ${cookie + 1} ${far}`] }, 'seq far from the beginning')
  t.match(receive({ seq: 2 ** 31 }), { raised })
  t.match(receive({ ack: (cookie + 2) >>> 0 }), { raised })
  t.match(receive({ ack: (cookie - 1) >>> 0 }), { raised })
  t.match(receive({ sourcePort: 40_001 }), { raised }, 'another tuple')
  t.match(receive({ destinationPort: localPort + 1 }), { raised }, 'another port of ours')
  t.match(receive({ flags: ACK | FIN }), { raised })
  under.now += 128_000
  t.match(receive({}), { raised }, 'too late')
  t.equal(under.inbound.openings.size, 0)
})

t.test('everything that comes meanwhile waits and keeps its order', async t => {
  const { receive, third, opened, under } = open(t, 6, { virtioSize: 12 })
  const report = third()
  t.strictSame(receive({ seq: 1, payload }), {})
  t.strictSame(receive({ seq: 6, payload: counting(250), virtio: { gsoType: 4, gsoSize: 100 } }), {})
  t.strictSame(receive({ seq: 300, payload: [9] }), {}, 'with a gap')
  t.strictSame(receive({ seq: 256, payload: [8] }), {}, 'reordered')
  const { delivered, raised } = opened(report)
  t.strictSame(
    delivered?.map(({ segmentSize, payload }) => [segmentSize, payload.length]),
    [
      [5, 5],
      [100, 250],
      [1, 1],
      [1, 1],
    ],
  )
  t.strictSame(raised, { datagramsIn: 6, bytesIn: 257, superPacketsIn: 1 })
  t.strictSame(delivered?.[1].payload, counting(250))
  t.equal(under.stack.memory.flows.load(0, Field.nextAck), 301)
})

t.test('waits for the word of the coordinator, even when the flow can be found already', async t => {
  const { receive, third, under } = open(t)
  const report = third({ payload })
  const { slot, generation } = under.stack.add({ nextSeq: report.ack | 0, nextAck: report.seq })
  t.strictSame(receive({ seq: 6, payload: [6] }), {}, 'must not overtake what is held')
  t.strictSame(
    under.opened(report.key, slot, generation).delivered?.map(({ payload }) => payload),
    [payload, [6]],
  )
  t.match(receive({ seq: 7, payload: [7] }), { delivered: [{ payload: [7] }] })
})

t.test('flags that mean nothing here', async t => {
  const { receive, third } = open(t)
  third()
  const raised = { unexpectedFlags: 1 }
  for (const flags of [SYN, SYN | ACK, ACK | FIN]) t.strictSame(receive({ flags, payload }), { raised })
})

t.test('a peer that closes at once: first its data, then its RST, once the connection exists', async t => {
  const reports = [{ kind: 'reset', slot: 0, generation: 2 }]
  for (const flags of [RST, RST | ACK]) {
    const { receive, third, opened } = open(t)
    const report = third()
    t.strictSame(receive({ payload }), {})
    t.strictSame(receive({ seq: 6, flags }), {})
    t.match(opened(report), { delivered: [{ payload }], reports })
    const bare = open(t)
    const bareReport = bare.third()
    t.strictSame(bare.receive({ flags }), {}, 'without any data')
    t.strictSame(bare.opened(bareReport), { reports })
  }
  const { receive, third, opened, cookie } = open(t)
  const report = third({ payload })
  t.strictSame(receive({ seq: 7, flags: RST, ack: 0 }), {})
  const { reports: none, sent, raised } = opened(report)
  t.equal(none, undefined, 'a RST that is not exact is asked about, now as later')
  t.strictSame(sent, [`ACK ${cookie} 6`])
  t.match(raised, { resetNotExact: 1, challengesOut: 1 })
})

t.test('held payload is bounded', async t => {
  const { receive, third, opened } = open(t)
  const report = third()
  const most = counting(60_000)
  const room = Math.floor((1024 * 1024) / most.length)
  for (let i = 0; i < room; i++) t.strictSame(receive({ seq: 1 + i * most.length, payload: most }), {})
  t.strictSame(receive({ seq: 1 + room * most.length, payload: most }), { raised: { openingFull: 1 } })
  t.equal(opened(report).delivered?.length, room)
})

t.test('openings are bounded in number', async t => {
  const { under, receive, third } = open(t)
  const openings = under.inbound.openings
  const report = third()
  openings.finish(report.key)
  const s = { family: 4, ports: 0, r0: 0, r1: 0, r2: 0, r3: 0, seq: 0, ack: 0 }
  for (let i = 0; i < 16_384; i++) {
    const other = { ...s, ports: i } as Parameters<typeof openings.begin>[1]
    openings.begin(Openings.key(other), other, under.now)
  }
  t.strictSame(receive({ payload }), { raised: { openingFull: 1 } })
})

t.test('a tuple that was turned down is a stranger again', async t => {
  const { receive, third, under } = open(t)
  const { key } = third({ payload })
  t.ok(under.inbound.openings.finish(key))
  t.equal(receive({ seq: 6 }).reports?.[0].kind, 'open', 'and may try again while its cookie lives')
})

t.test('a connection that ended before its held payload was replayed', async t => {
  const { third, under } = open(t)
  const report = third({ payload })
  const flow = under.stack.add({ nextSeq: report.ack | 0, nextAck: report.seq })
  under.stack.end(flow)
  const { flows } = under.stack.memory
  t.strictSame(under.opened(report.key, flow.slot, flow.generation), { raised: { flowGone: 1 } })
  t.equal(flows.load(flow.slot, Field.nextAck), 1, "the slot, which may be a successor's, is untouched")
  t.equal(flows.count(flow.slot, Field.datagramsIn), 0)
})
