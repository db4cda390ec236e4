/** ICMP "too big": heeded when its quote is of a packet that may be on its way, counted and ignored otherwise. */
import t, { type Test } from 'tap'
import { Field, State } from '../../src/memory/flow-table.js'
import { InboundUnderTest } from '../support/inbound.js'
import { destination6, icmp4, icmp6, ip4, ip6, packet4, packet6, source6, virtioHeader } from '../support/packets.js'

const [remote, local] = [0xc0a8c901, 0xc0a8c902]
/** Our next sequence number. */
const nextSeq = 5_000_000

interface Message {
  mtu?: number
  seq?: number
  ack?: number
  id?: number
  sourcePort?: number
  destination?: number
  source?: number
  /** Bytes kept of the quote. */
  cut?: number
  checksumError?: number
  code?: number
}

/** Our ACK and IP identification when a test begins. */
const [nextAck, ipId] = [7_000_000, 65_530]

/** As a router sends it, quoting the first bytes of a packet of ours. */
const message4 = (message: Message = {}): Uint8Array => {
  const { mtu = 1_300, seq = nextSeq - 100, sourcePort = 4567, destination = remote, source = local } = message
  const { ack = nextAck, id = ipId - 1, checksumError = 0, code = 4, cut = 40 } = message
  const quote = packet4({ source, destination, id }, { sourcePort, destinationPort: 40_000, seq, ack })
  const icmp = icmp4(quote.slice(0, cut), { mtu, checksumError, code })
  return ip4({ source: 0x0a000009, destination: local, protocol: 1 }, icmp)
}

const message6 = ({ mtu = 1_300, seq = nextSeq - 100, ack = nextAck, cut = 60 }: Message = {}): Uint8Array => {
  const quote = packet6(
    { source: destination6, destination: source6 },
    { sourcePort: 4567, destinationPort: 40_000, seq, ack },
  )
  // The helper's checksum is for these two addresses.
  return ip6({ source: source6, destination: destination6, protocol: 58 }, icmp6(quote.slice(0, cut), { mtu }))
}

const open = (t: Test, virtioSize: 0 | 10 = 0, family: 4 | 6 = 4, state: number = State.established) => {
  const under = new InboundUnderTest(t, { virtioSize })
  const { slot } = under.stack.add({ family, nextSeq, nextAck, ipId, state })
  const { flows } = under.stack.memory
  return {
    under,
    /** So many bytes more are on their way, in so many packets. */
    send: (bytes: number, packets = 1) => {
      flows.takeSeq(slot, bytes)
      flows.takeIpId(slot, packets)
    },
    receive: (packet: Uint8Array) => {
      under.packet(Uint8Array.from([...virtioHeader(virtioSize), ...packet]))
      const { raised = {}, reports = [] } = under.outcome()
      const { packetsIn: _, ...others } = raised
      const told = reports.filter(({ kind }) => kind === 'pathMtu').length
      return { raised: others, told, largest: flows.load(slot, Field.maxDatagram) }
    },
  }
}

const doubted = { raised: { pathMtuDoubted: 1 }, told: 0, largest: 1_460 }
const ignored = { raised: { otherProtocol: 1 }, told: 0, largest: 1_460 }

t.test('two packets that may be on their way, the second sent after a router told of the first', async t => {
  for (const virtioSize of [0, 10] as const) {
    const { receive, send } = open(t, virtioSize)
    t.strictSame(receive(message4()), doubted)
    t.strictSame(receive(message4()), doubted, 'the same again')
    t.strictSame(receive(message4({ seq: nextSeq - 50 })), doubted, 'another one from before')
    send(3_000, 2)
    const later = message4({ seq: nextSeq + 1_500 })
    t.strictSame(receive(later), { raised: { pathMtuLowered: 1 }, told: 1, largest: 1_260 })
    t.match(receive(later), { largest: 1_260, told: 0, raised: { otherProtocol: 1 } }, 'the same again changes nothing')
    t.match(receive(message4({ mtu: 1_400 })), { largest: 1_260 }, 'nor does a larger one')
    t.match(receive(message4({ mtu: 1_000, seq: nextSeq })), { largest: 1_260 }, 'a smaller one is to come twice, too')
    send(1_000)
    t.match(receive(message4({ mtu: 1_000, seq: nextSeq + 3_000 })), { largest: 960, told: 1 })
  }
  const { receive, send } = open(t, 0, 6)
  receive(message6())
  send(1_500)
  t.match(receive(message6({ seq: nextSeq })), { largest: 1_240, told: 1 }, 'IPv6')
})

t.test('a second message that comes too late is a first one', async t => {
  const { receive, send, under } = open(t)
  receive(message4())
  send(1_500)
  under.now += 10_001
  t.strictSame(receive(message4({ seq: nextSeq })), doubted)
  send(1_500)
  t.match(receive(message4({ seq: nextSeq + 1_500 })), { largest: 1_260 })
  const fast = open(t)
  fast.receive(message4())
  fast.send(17 * 1024 * 1024)
  t.strictSame(fast.receive(message4({ seq: nextSeq + 16 * 1024 * 1024 })), doubted, 'too much was sent since')
})

t.test('routers that quote no more than they must', async t => {
  const short = (message: Message) => message4({ ...message, cut: 28 })
  const { receive, send } = open(t)
  t.strictSame(receive(short({})), doubted)
  send(15_000, 10)
  t.strictSame(receive(short({ seq: nextSeq, id: ipId + 11 })), doubted, 'a packet that was not sent yet')
  t.strictSame(receive(short({ seq: nextSeq, id: ipId - 1 })), doubted, 'one from before')
  t.match(receive(short({ seq: nextSeq, id: (ipId + 9) & 0xffff })), { largest: 1_260 })
  const fast = open(t)
  fast.receive(short({}))
  fast.send(5 * 1024 * 1024, 10)
  t.strictSame(
    fast.receive(short({ seq: nextSeq + 1_000, id: (ipId + 1) & 0xffff })),
    doubted,
    'too much was sent since',
  )
  t.strictSame(
    open(t, 0, 6).receive(message6({ cut: 48 })),
    { ...ignored, largest: 1_440 },
    'over IPv6 all must quote more',
  )
})

t.test('never less than every path carries', async t => {
  for (const [family, mtus, least] of [
    [4, [0, 1, 68, 575], 536],
    [6, [0, 68, 1_279], 1_220],
  ] as const) {
    for (const mtu of mtus) {
      const { receive, send } = open(t, 0, family)
      const message = family === 4 ? message4 : message6
      receive(message({ mtu }))
      send(1_500)
      t.equal(receive(message({ mtu, seq: nextSeq })).largest, least, `IPv${family}, MTU ${mtu}`)
    }
  }
})

t.test('anything else is counted and ignored', async t => {
  const cases: [string, Message][] = [
    ['a sequence number that was not sent yet', { seq: nextSeq }],
    ['one far ahead', { seq: nextSeq + 1_000_000 }],
    ['one from long ago', { seq: nextSeq - 17 * 1024 * 1024 }],
    ['an ACK that we have not sent yet', { ack: nextAck + 1 }],
    ['one from long ago', { ack: nextAck - 17 * 1024 * 1024 }],
    ['an unknown port', { sourcePort: 4568 }],
    ['an unknown peer', { destination: 0xc0000201 }],
    ['not from us', { source: 0xc0a8c903 }],
    ['a quote that is too short', { cut: 27 }],
    ['a bad checksum', { checksumError: 1 }],
    ['another kind of unreachable', { code: 1 }],
  ]
  for (const [name, message] of cases) t.strictSame(open(t).receive(message4(message)), ignored, name)
  t.strictSame(open(t, 0, 4, State.synSent).receive(message4()), ignored, 'a connection in state synSent')
})

t.test('somebody who guesses: twenty messages a second are looked at', async t => {
  const { receive, under, send } = open(t)
  let looked = 0
  for (let i = 0; i < 1_000; i++) looked += receive(message4({ seq: nextSeq - 1 - i })).raised.pathMtuDoubted ?? 0
  t.equal(looked, 20)
  send(1_500)
  t.strictSame(receive(message4({ seq: nextSeq })), ignored)
  under.now += 1_000
  t.match(receive(message4({ seq: nextSeq })), { largest: 1_260 })
})
