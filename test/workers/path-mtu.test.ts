/** ICMP "too big": heeded when its quote is of a packet that may be on its way, counted and ignored otherwise. */
import t, { type Test } from 'tap'
import { Field, State } from '../../src/memory/flow-table.js'
import { virtioHeader } from '../support/frames.js'
import { InboundUnderTest } from '../support/inbound.js'
import { destination6, icmp4, icmp6, ip4, ip6, packet4, packet6, source6 } from '../wire/packets.js'

const [remote, local] = [0xc0a8c901, 0xc0a8c902]
/** Our next sequence number. */
const nextSeq = 5_000_000

interface Message {
  mtu?: number
  seq?: number
  sourcePort?: number
  destination?: number
  source?: number
  /** Bytes kept of the quote. */
  cut?: number
  checksumError?: number
  code?: number
}

/** As a router sends it, quoting the first bytes of a packet of ours. */
const message4 = (message: Message = {}): number[] => {
  const { mtu = 1_300, seq = nextSeq - 100, sourcePort = 4567, destination = remote, source = local } = message
  const quote = packet4({ source, destination }, { sourcePort, destinationPort: 40_000, seq })
  const { checksumError = 0, code = 4 } = message
  const icmp = icmp4(quote.slice(0, message.cut ?? 28), { mtu, checksumError, code })
  return ip4({ source: 0x0a000009, destination: local, protocol: 1 }, icmp)
}

const message6 = ({ mtu = 1_300, seq = nextSeq - 100 }: Message = {}): number[] => {
  const quote = packet6(
    { source: destination6, destination: source6 },
    { sourcePort: 4567, destinationPort: 40_000, seq },
  )
  // The helper's checksum is for these two addresses.
  return ip6({ source: source6, destination: destination6, protocol: 58 }, icmp6(quote.slice(0, 48), { mtu }))
}

const open = (t: Test, virtioSize: 0 | 10 = 0, family: 4 | 6 = 4, state: number = State.established) => {
  const under = new InboundUnderTest(t, { virtioSize })
  const { slot } = under.stack.add({ family, nextSeq, state })
  return {
    receive: (packet: number[]) => {
      under.packet(Uint8Array.from([...virtioHeader(virtioSize), ...packet]))
      const { raised = {}, reports = [] } = under.outcome()
      return { raised, logged: reports.length, largest: under.stack.memory.flows.load(slot, Field.maxDatagram) }
    },
  }
}

const heeded = { packetsIn: 1, pathMtuLowered: 1 }
const ignored = { packetsIn: 1, otherProtocol: 1 }
const strip = ({ packetsIn, ...others }: Record<string, number>) => others

t.test('a packet that may be on its way', async t => {
  for (const virtioSize of [0, 10] as const) {
    const { receive } = open(t, virtioSize)
    const { raised, logged, largest } = receive(message4())
    t.strictSame(strip(raised), strip(heeded))
    t.equal(largest, 1_260)
    t.equal(logged, 1)
    t.match(receive(message4()), { largest: 1_260, logged: 0 }, 'the same again changes nothing')
    t.match(receive(message4({ mtu: 1_400 })), { largest: 1_260 }, 'nor does a larger one')
    t.match(receive(message4({ mtu: 1_000 })), { largest: 960, logged: 1 }, 'a smaller one does')
  }
  t.match(open(t, 0, 6).receive(message6()), { largest: 1_240, logged: 1 }, 'IPv6')
})

t.test('never less than every path carries', async t => {
  for (const mtu of [0, 1, 68, 575]) t.equal(open(t).receive(message4({ mtu })).largest, 536, `MTU ${mtu}`)
  for (const mtu of [0, 68, 1_279]) t.equal(open(t, 0, 6).receive(message6({ mtu })).largest, 1_220, `IPv6, MTU ${mtu}`)
})

t.test('anything else is counted and ignored', async t => {
  const cases: [string, Message][] = [
    ['a sequence number that was not sent yet', { seq: nextSeq }],
    ['one far ahead', { seq: nextSeq + 1_000_000 }],
    ['one from long ago', { seq: nextSeq - 17 * 1024 * 1024 }],
    ['an unknown port', { sourcePort: 4568 }],
    ['an unknown peer', { destination: 0xc0000201 }],
    ['not from us', { source: 0xc0a8c903 }],
    ['a quote that is too short', { cut: 27 }],
    ['a bad checksum', { checksumError: 1 }],
    ['another kind of unreachable', { code: 1 }],
  ]
  for (const [name, message] of cases) {
    const { raised, logged, largest } = open(t).receive(message4(message))
    t.strictSame([strip(raised), logged, largest], [strip(ignored), 0, 1_460], name)
  }
  t.equal(open(t, 0, 4, State.synSent).receive(message4()).largest, 1_460, 'a half-open connection')
})
