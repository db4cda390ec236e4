/** Inbound: segments that belong to no connection, and those of connections in state synSent (inbound-*.test.ts has the rest). */
import t, { type Test } from 'tap'
import { SynCookies } from '../../src/flood/syn-cookie.js'
import { State } from '../../src/memory/flow-table.js'
import { Switch } from '../../src/memory/shared-stack.js'
import { InboundUnderTest, type Outcome } from '../support/inbound.js'
import type { MemoryStackOptions } from '../support/memory-stack.js'
import {
  ACK,
  FIN,
  type FrameFields,
  frame,
  localPort,
  PSH,
  ports,
  RST,
  remote4,
  remote6,
  SYN,
} from '../support/packets.js'

/** Stimulus, then what it causes; everything that is not named must not happen. */
type Row = [name: string, stimulus: FrameFields, outcome: Outcome]

const check = (t: Test, rows: Row[], prepare: (under: InboundUnderTest) => void, options: MemoryStackOptions = {}) => {
  for (const [name, stimulus, outcome] of rows) {
    const under = new InboundUnderTest(t, options)
    prepare(under)
    t.strictSame(under.receive(stimulus), outcome, name)
  }
}
const everywhere = (rows: Row[]): Row[] => [
  ...rows,
  ...rows.map(([name, stimulus, outcome]): Row => [`${name}, IPv6`, { ...stimulus, family: 6 }, outcome]),
]

const unknown = { unknownTuple: 1, resetsOut: 1 }
const payload = [1, 2, 3, 4, 5]

t.test('no connection, no listener: RST|ACK that a real TCP understands', async t => {
  const rows = everywhere([
    ['SYN', { flags: SYN, seq: 0, ack: 0 }, { raised: unknown, sent: ['RST|ACK 0 1'] }],
    ['SYN, seq ≠ 0', { flags: SYN, seq: 77, ack: 0 }, { raised: unknown, sent: ['RST|ACK 0 78'] }],
    ['SYN with payload', { flags: SYN, seq: 7, ack: 0, payload }, { raised: unknown, sent: ['RST|ACK 0 13'] }],
    ['ACK', { flags: ACK, seq: 100, ack: 900 }, { raised: unknown, sent: ['RST|ACK 900 100'] }],
    ['data', { flags: ACK, seq: 100, ack: 900, payload }, { raised: unknown, sent: ['RST|ACK 900 105'] }],
    ['data, PSH', { flags: ACK | PSH, seq: 100, ack: 900, payload }, { raised: unknown, sent: ['RST|ACK 900 105'] }],
    ['FIN', { flags: ACK | FIN, seq: 100, ack: 900, payload }, { raised: unknown, sent: ['RST|ACK 900 106'] }],
    ['SYN+ACK', { flags: SYN | ACK, seq: 100, ack: 0xfffffffe }, { raised: unknown, sent: ['RST|ACK 4294967294 101'] }],
    ['data across 2^32', { seq: 0xfffffffe, ack: 1, payload }, { raised: unknown, sent: ['RST|ACK 1 3'] }],
    ['RST', { flags: RST, seq: 100, ack: 0 }, { raised: { strayReset: 1 } }],
    ['RST|ACK', { flags: RST | ACK, seq: 100, ack: 900, payload }, { raised: { strayReset: 1 } }],
  ])
  check(t, rows, () => {})
  check(t, rows, under => under.stack.listen(localPort + 1), { virtioSize: 12 })
})

t.test('a stack that does not listen yet tells nobody that nobody listens', async t => {
  const under = new InboundUnderTest(t)
  under.stack.memory.switches[Switch.answering] = 0
  const silent = { raised: { unknownTuple: 1, notYetListening: 1 } }
  t.strictSame(under.receive({ flags: SYN, seq: 0, ack: 0 }), silent)
  t.strictSame(under.receive({ flags: ACK, seq: 100, ack: 900, payload }), silent)
  under.stack.memory.switches[Switch.answering] = 1
  t.strictSame(under.receive({ flags: SYN, seq: 0, ack: 0 }).sent, ['RST|ACK 0 1'])
})

t.test('whatever is refused can make a flood', async t => {
  const kinds: FrameFields[] = [
    { flags: ACK, seq: 100, ack: 900 },
    { flags: RST, seq: 100 },
    { flags: SYN, seq: 0, checksumError: 1 },
    { flags: ACK, seq: 100, ack: 900, ip4: { destination: 0x0a000001 } },
  ]
  for (const fields of kinds) {
    const under = new InboundUnderTest(t)
    const bytes = frame({ virtioSize: under.stack.shared.device.virtioSize, ...fields })
    for (let i = 0; i < 1_000; i++) under.packet(bytes)
    t.strictSame(under.outcome().reports, undefined)
    under.packet(bytes)
    t.strictSame(under.outcome().reports, [{ kind: 'flood', syns: false }])
  }
})

t.test('a connection that is being ended right now is unknown already', async t => {
  const under = new InboundUnderTest(t)
  under.stack.add({ state: State.free })
  t.strictSame(under.receive({ flags: ACK, seq: 41, ack: 5 }).sent, ['RST|ACK 5 41'])
})

t.test('a probe of an unknown connection is answered with RST|ACK (dead-peer detection of the other side)', async t => {
  const under = new InboundUnderTest(t)
  t.strictSame(under.receive({ flags: ACK, seq: 41, ack: 5 }).sent, ['RST|ACK 5 41'])
})

t.test('what is refused by the classifier is counted and causes nothing', async t => {
  check(
    t,
    [
      ['bad checksum', { flags: SYN, seq: 0, checksumError: 1 }, { raised: { tcpChecksum: 1 } }],
      ['LAND', { flags: SYN, seq: 0, ip4: { source: 0xc0a8c902 } }, { raised: { ownSource: 1 } }],
      ['another host', { flags: SYN, seq: 0, ip4: { destination: 0x0a000001 } }, { raised: { notForUs: 1 } }],
      ['null flags', { flags: 0 }, { raised: { tcpFlags: 1 } }],
    ],
    ({ stack }) => stack.listen(localPort),
  )
})

t.test('a listener', async t => {
  const listen = (under: InboundUnderTest) => under.stack.listen(localPort)
  check(
    t,
    everywhere([
      [
        'SYN, seq ≠ 0',
        { flags: SYN, seq: 5, ack: 0 },
        { raised: { synBadSeq: 1, resetsOut: 1 }, sent: ['RST|ACK 0 6'] },
      ],
      [
        'SYN, seq ≠ 0, with payload',
        { flags: SYN, seq: 0xffffffff, ack: 0, payload },
        { raised: { synBadSeq: 1, resetsOut: 1 }, sent: ['RST|ACK 0 5'] },
      ],
      ['ACK without a cookie', { flags: ACK, seq: 1, ack: 12_345 }, { raised: unknown, sent: ['RST|ACK 12345 1'] }],
      ['SYN+ACK', { flags: SYN | ACK, seq: 3, ack: 1 }, { raised: unknown, sent: ['RST|ACK 1 4'] }],
      ['FIN', { flags: ACK | FIN, seq: 3, ack: 1 }, { raised: unknown, sent: ['RST|ACK 1 4'] }],
      ['RST', { flags: RST, seq: 0, ack: 0 }, { raised: { strayReset: 1 } }],
    ]),
    listen,
  )
  for (const family of [4, 6] as const) {
    const under = new InboundUnderTest(t)
    listen(under)
    const key = new SynCookies(under.stack.shared.cookieKey)
    const [r0, r1, r2, r3] = family === 4 ? [remote4 | 0, 0, 0, 0] : remote6.map(word => word | 0)
    const cookie = key.make({ family, ports, r0, r1, r2, r3 }, under.now)
    const answer = { raised: { synCookiesOut: 1 }, sent: [`SYN|ACK ${cookie} 1`] }
    const syn = { family, flags: SYN, seq: 0, ack: 0 }
    t.strictSame(under.receive(syn), answer, 'SYN: a cookie, nothing is remembered')
    t.strictSame(under.receive(syn), answer, 'one answer for each')
    under.now += 64_000
    t.notSame(under.receive(syn).sent, answer.sent, 'another one in another epoch')
  }
})

t.test('a reply is at most 1.2 times as long as what asked for it', async t => {
  const under = new InboundUnderTest(t)
  under.stack.listen(localPort)
  for (const fields of [
    { flags: SYN, seq: 0, ack: 0, options: [1, 3, 3, 14] },
    { flags: SYN, seq: 0, ack: 0 },
    { flags: SYN, seq: 1, ack: 0 },
    { flags: ACK, seq: 1, ack: 0 },
  ]) {
    const asked = frame(fields)
    under.packet(asked)
    const reply = under.stack.take()
    t.ok(reply !== undefined && reply.length <= asked.length * 1.2, `${reply?.length} for ${asked.length}`)
    t.equal(under.stack.take(), undefined, 'and it is one')
  }
})

t.test('answers to strangers are limited, cookies are not', async t => {
  const under = new InboundUnderTest(t)
  under.stack.listen(localPort)
  const count = (fields: FrameFields, packets: number) => {
    const raised: Record<string, number> = {}
    let sent = 0
    for (let i = 0; i < packets; i++) {
      const outcome = under.receive(fields)
      sent += outcome.sent?.length ?? 0
      for (const [name, by] of Object.entries(outcome.raised ?? {})) raised[name] = (raised[name] ?? 0) + by
    }
    return { sent, raised }
  }
  const stranger = { flags: ACK, seq: 1, ack: 2, destinationPort: 9 }
  t.strictSame(count(stranger, 1010), {
    sent: 1000,
    raised: { unknownTuple: 1010, resetsOut: 1000, replyRateLimited: 10 },
  })
  t.strictSame(count({ flags: SYN, seq: 5, ack: 0 }, 3), { sent: 0, raised: { synBadSeq: 3, replyRateLimited: 3 } })
  t.strictSame(count({ flags: SYN, seq: 0, ack: 0 }, 50), { sent: 50, raised: { synCookiesOut: 50 } })
  under.now += 5
  t.equal(count(stranger, 20).sent, 5, '1,000 per second')
})

t.test('synSent', async t => {
  const stray: Outcome = { raised: { strayHandshake: 1 } }
  const synAck = (seq: number): Outcome => ({ reports: [{ kind: 'synAck', slot: 0, generation: 2, seq }] })
  const refused: Outcome = { reports: [{ kind: 'refused', slot: 0, generation: 2 }] }
  const rows: Row[] = [
    ['SYN+ACK', { flags: SYN | ACK, seq: 0, ack: 1 }, synAck(0)],
    [
      'SYN+ACK with a cookie',
      { flags: SYN | ACK, seq: 0xfedcba98, ack: 1, options: [1, 3, 3, 14] },
      synAck(0xfedcba98),
    ],
    ['SYN+ACK, ack 0', { flags: SYN | ACK, seq: 0, ack: 0 }, stray],
    ['SYN+ACK, ack 2', { flags: SYN | ACK, seq: 0, ack: 2 }, stray],
    ['RST|ACK', { flags: RST | ACK, seq: 0, ack: 1 }, refused],
    ['RST|ACK of a stock peer', { flags: RST | ACK, seq: 0, ack: 0 }, refused],
    ['RST', { flags: RST, seq: 0, ack: 0 }, refused],
    ['RST|ACK of something else', { flags: RST | ACK, seq: 0, ack: 2 }, stray],
    ['SYN', { flags: SYN, seq: 0, ack: 0 }, stray],
    ['data', { flags: ACK, seq: 1, ack: 1, payload }, stray],
    ['FIN', { flags: ACK | FIN, seq: 1, ack: 1 }, stray],
  ]
  for (const family of [4, 6] as const) {
    const prepare = ({ stack }: InboundUnderTest) => {
      stack.listen(localPort)
      stack.add({ family, state: State.synSent, nextSeq: 1, nextAck: 0 })
    }
    check(
      t,
      rows.map(([name, stimulus, outcome]): Row => [name, { ...stimulus, family }, outcome]),
      prepare,
    )
  }
})

t.test(
  'an index that keeps changing: the packet is dropped and counted, nobody is told that the flow is gone',
  async t => {
    const under = new InboundUnderTest(t)
    const index = new Int32Array(under.stack.shared.index)
    index[0] = 1
    t.strictSame(under.receive({ payload }), { raised: { indexContended: 1 } })
    index[0] = 2
    t.match(under.receive({ payload }), { raised: { unknownTuple: 1 } })
  },
)
