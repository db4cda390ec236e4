/** Inbound: from a valid cookie to the coordinator's answer. */
import t, { type Test } from 'tap'
import { SynCookies } from '../../src/flood/syn-cookie.js'
import { Field } from '../../src/memory/flow-table.js'
import type { Report } from '../../src/path/messages.js'
import { counting } from '../support/datagrams.js'
import { InboundUnderTest } from '../support/inbound.js'
import type { MemoryStackOptions } from '../support/memory-stack.js'
import { ACK, FIN, type FrameFields, frame, localPort, ports, RST, remote4, remote6, SYN } from '../support/packets.js'

type Handshake = Extract<Report, { kind: 'handshake' }>
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
  const third = (fields: FrameFields = {}) => receive(fields).reports?.[0] as Handshake
  /** The coordinator makes the connection. */
  const opened = ({ key, seq, ack }: Handshake) => {
    return under.opened(key, under.stack.add({ family, nextSeq: ack | 0, nextAck: seq | 0 }))
  }
  return { under, cookie, receive, third, opened }
}

t.test('the third packet asks for a connection; nothing is answered yet', async t => {
  for (const family of [4, 6] as const) {
    const { cookie, receive } = open(t, family)
    const [r0, r1, r2, r3] = family === 4 ? [remote4 | 0, 0, 0, 0] : remote6.map(word => word | 0)
    const key = `${ports},${r0},${r1},${r2},${r3},${family}`
    const report: Handshake = {
      kind: 'handshake',
      tuple: { family, ports, r0, r1, r2, r3 },
      key,
      seq: 1,
      ack: cookie + 1,
    }
    t.strictSame(receive({}), { reports: [report] })
    t.strictSame(receive({}), {}, 'a duplicate asks once')
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
    t.strictSame(under.opened(report.key, { slot: 0, generation: 2 }), {}, 'once')
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
  const report = receive({ ack: cookie, payload }).reports?.[0] as Handshake
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
      [1, 2],
    ],
  )
  t.strictSame(raised, { datagramsIn: 6, bytesIn: 257, superPacketsIn: 1 })
  t.strictSame(delivered?.[1].payload, counting(250))
  t.strictSame(delivered?.[2].payload, [9, 8])
  t.equal(under.stack.memory.flows.load(0, Field.nextAck), 301)
})

t.test('waits for the word of the coordinator, even when the flow can be found already', async t => {
  const { receive, third, under } = open(t)
  const report = third({ payload })
  const flow = under.stack.add({ nextSeq: report.ack | 0, nextAck: report.seq })
  t.strictSame(receive({ seq: 6, payload: [6] }), {}, 'must not overtake what is held')
  t.strictSame(
    under.opened(report.key, flow).delivered?.flatMap(({ payload }) => payload),
    [...payload, 6],
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
  const { receive, third, opened } = open(t, 4, { laneCapacity: 4 * 1024 * 1024 })
  const report = third()
  const most = counting(60_000)
  const room = Math.floor((1024 * 1024) / most.length)
  for (let i = 0; i < room; i++) t.strictSame(receive({ seq: 1 + i * most.length, payload: most }), {})
  t.strictSame(receive({ seq: 1 + room * most.length, payload: most }), { raised: { openingFull: 1 } })
  t.equal(opened(report).delivered?.flatMap(({ payload }) => payload).length, room * most.length)
})

t.test('openings are bounded in number', async t => {
  const { under, receive } = open(t)
  const cookies = new SynCookies(under.stack.shared.cookieKey)
  for (let i = 0; i < 16_384; i++) {
    const sourcePort = 10_000 + i
    const tuple = { family: 4, ports: (sourcePort << 16) | localPort, r0: remote4 | 0, r1: 0, r2: 0, r3: 0 }
    const cookie = cookies.make(tuple, under.now)
    under.packet(frame({ sourcePort, flags: ACK, seq: 1, ack: (cookie + 1) >>> 0 }))
  }
  t.equal(under.outcome().reports?.length, 16_384)
  t.strictSame(receive({ payload }), { raised: { openingFull: 1 } })
})

t.test('a tuple that was turned down is a stranger again', async t => {
  for (const told of [false, true]) {
    const { receive, third, under, cookie } = open(t)
    const { key } = third({ payload })
    const answer = { raised: { resetsOut: 1 }, sent: [`RST|ACK ${cookie + 1} 1`] }
    t.strictSame(under.turnedDown(key, told), told ? answer : {}, told ? 'its peer is told' : 'or left to wait')
    t.equal(receive({ seq: 6 }).reports?.[0].kind, 'handshake', 'and may try again while its cookie lives')
  }
})

t.test('a connection that ended before its held payload was replayed', async t => {
  const { third, under } = open(t)
  const report = third({ payload })
  const flow = under.stack.add({ nextSeq: report.ack | 0, nextAck: report.seq })
  under.stack.end(flow)
  const { flows } = under.stack.memory
  t.strictSame(under.opened(report.key, flow), { raised: { flowGone: 1 } })
  t.equal(flows.load(flow.slot, Field.nextAck), 1, "the slot, which may be a successor's, is untouched")
  t.equal(flows.count(flow.slot, Field.datagramsIn), 0)
})
