import t from 'tap'
import { counterNames } from '../../src/memory/counters.js'
import { native } from '../../src/native.js'
import { Packet } from '../../src/path/packet.js'
import { accepted, Classifier, type Segment } from '../../src/path/segment.js'
import { counting } from '../support/datagrams.js'
import { MemoryStack, type MemoryStackOptions } from '../support/memory-stack.js'
import {
  ACK,
  destination6,
  extension,
  FIN,
  type FrameFields,
  frame,
  icmp4,
  ip4,
  packet4,
  packet6,
  poisoned,
  RST,
  SYN,
  source6,
  virtioHeader,
} from '../support/packets.js'

/** The name of the counter, or the segment. */
const parse = (bytes: ArrayLike<number>, options: MemoryStackOptions = {}): string | Segment => {
  const stack = new MemoryStack(options)
  const classifier = new Classifier(stack.shared)
  stack.close()
  // At an odd offset in the middle of other packets' remains.
  const memory = poisoned(bytes.length + 300)
  memory.set(bytes, 101)
  const arena = native.arenaOpen(memory)
  const packet = Object.assign(new Packet(), { memory: arena, bytes: memory, at: 101, length: bytes.length })
  const result = classifier.parse(packet)
  native.arenaClose(arena)
  return result === accepted ? classifier.segment : counterNames[result]
}

const verdict = (bytes: ArrayLike<number>, options?: MemoryStackOptions): string => {
  const parsed = parse(bytes, options)
  return typeof parsed === 'string' ? parsed : 'ok'
}

const f = (fields: FrameFields): Uint8Array => frame({ payload: [1, 2, 3], ...fields })
const six = (fields: FrameFields): Uint8Array => f({ family: 6, ...fields })
const ones = (length: number): number[] => new Array<number>(length).fill(1)
const altered = (kind: number, at: number, value: number): Uint8Array => {
  const header = extension(kind)
  header.bytes[at] = value
  return six({ ip6: { extensions: [header] } })
}
const address6 = (first: number, last: number): number[] => [first, ...new Array<number>(14).fill(0), last]

type Case = [name: string, bytes: ArrayLike<number>, verdict: string, options?: MemoryStackOptions]
/** Malformed input, class by class. */
const cases: Case[] = [
  ['frame: empty', [], 'frameTooShort'],
  ['frame: 1 byte', [0x45], 'frameTooShort'],
  ['frame: 19 bytes', f({}).slice(0, 19), 'frameTooShort'],
  ['frame: 39 bytes of IPv6', six({}).slice(0, 39), 'frameTooShort'],
  ...[0, 5, 15].map((version): Case => [`frame: version ${version}`, f({ ip4: { version } }), 'ipVersion']),
  ['frame: virtio header only', virtioHeader(12), 'frameTooShort', { virtioSize: 12 }],
  ['frame: virtio header cut', virtioHeader(10).slice(0, 9), 'frameTooShort', { virtioSize: 10 }],
  ['frame: virtio header and 19 bytes', f({ virtioSize: 10 }).slice(0, 29), 'frameTooShort', { virtioSize: 10 }],
  ['frame: gso_size 0', f({ virtioSize: 10, virtio: { gsoType: 1 } }), 'virtioGso', { virtioSize: 10 }],
  [
    'frame: unknown gso_type',
    f({ virtioSize: 10, virtio: { gsoType: 2, gsoSize: 9 } }),
    'virtioGso',
    { virtioSize: 10 },
  ],
  ['frame: hdr_len past the end', f({ virtioSize: 10, virtio: { hdrLen: 0xffff } }), 'ok', { virtioSize: 10 }],
  ...[0, 1, 2, 3, 4].map(
    (headerLength): Case => [`IPv4: IHL ${headerLength}`, f({ ip4: { headerLength } }), 'ipv4HeaderLength'],
  ),
  ['IPv4: IHL past the end', f({ ip4: { headerLength: 12 } }).slice(0, 44), 'ipv4HeaderLength'],
  ['IPv4: IHL 15 with options', f({ ip4: { options: ones(40) } }), 'ok'],
  ['IPv4: total length < IHL', f({ ip4: { totalLength: 19 } }), 'ipv4TotalLength'],
  ['IPv4: total length > read', f({ ip4: { totalLength: 44 } }), 'ipv4TotalLength'],
  ['IPv4: MF', f({ ip4: { fragment: 0x2000 } }), 'ipv4Fragment'],
  ['IPv4: offset', f({ ip4: { fragment: 1 } }), 'ipv4Fragment'],
  ['IPv4: UDP', f({ ip4: { protocol: 17 } }), 'otherProtocol'],
  ['IPv4: ICMP', ip4({ protocol: 1 }, icmp4(packet4())), 'otherProtocol'],
  ['IPv4: bad header checksum', f({ ip4: { checksumError: 1 } }), 'ipv4Checksum'],
  ['IPv4: source own (LAND)', f({ ip4: { source: 0xc0a8c902 } }), 'ownSource'],
  ['IPv4: source multicast', f({ ip4: { source: 0xe0000001 } }), 'sourceAddress'],
  ['IPv4: source broadcast', f({ ip4: { source: 0xffffffff } }), 'sourceAddress'],
  ['IPv4: source 0.0.0.0', f({ ip4: { source: 0 } }), 'sourceAddress'],
  ['IPv4: destination another host', f({ ip4: { destination: 0xc0a8c903 } }), 'notForUs'],
  ['IPv4: destination broadcast', f({ ip4: { destination: 0xffffffff } }), 'notForUs'],
  ['IPv4: a stack without IPv4', f({}), 'notForUs', { families: [6] }],
  ['IPv6: a stack without IPv6', six({}), 'notForUs', { families: [4] }],
  ['IPv6: payload length 0', six({ ip6: { payloadLength: 0 } }), 'ipv6PayloadLength'],
  ['IPv6: payload length > read', six({ ip6: { payloadLength: 24 } }), 'ipv6PayloadLength'],
  ['IPv6: payload length < TCP', six({ ip6: { payloadLength: 19 } }), 'tcpTooShort'],
  ['IPv6: hop-by-hop', six({ ip6: { extensions: [extension(0)] } }), 'ok'],
  ['IPv6: routing', six({ ip6: { extensions: [extension(43)] } }), 'ok'],
  ['IPv6: routing, segments left', altered(43, 3, 1), 'ipv6ExtensionHeader'],
  ['IPv6: fragment', six({ ip6: { extensions: [extension(44)] } }), 'ipv6Fragment'],
  ['IPv6: 9 chained', six({ ip6: { extensions: new Array(9).fill(extension(60)) } }), 'ipv6ExtensionHeader'],
  ['IPv6: header past the end', altered(60, 1, 9), 'ipv6ExtensionHeader'],
  ['IPv6: UDP', six({ ip6: { protocol: 17 } }), 'otherProtocol'],
  ['IPv6: source unspecified', six({ ip6: { source: address6(0, 0) } }), 'sourceAddress'],
  ['IPv6: source multicast', six({ ip6: { source: address6(0xff, 1) } }), 'sourceAddress'],
  ['IPv6: source own (LAND)', six({ ip6: { source: destination6 } }), 'ownSource'],
  ['IPv6: destination another host', six({ ip6: { destination: source6 } }), 'notForUs'],
  [
    'IPv6: destination differs in the first word',
    six({ ip6: { destination: [0xfd, ...destination6.slice(1)] } }),
    'notForUs',
  ],
  ...[0, 13, 19].map((cut): Case => [`TCP: ${cut} bytes`, f({ cut }), 'tcpTooShort']),
  ...[0, 4, 6].map((dataOffset): Case => [`TCP: data offset ${dataOffset}`, f({ dataOffset }), 'tcpDataOffset']),
  ['TCP: data offset 15', f({ options: ones(40) }), 'ok'],
  ['TCP: option length 0', f({ options: [5, 0, 0, 0] }), 'tcpOptions'],
  ['TCP: option length 1', f({ options: [5, 1, 0, 0] }), 'tcpOptions'],
  ['TCP: option past the end', f({ options: [5, 5, 0, 0] }), 'tcpOptions'],
  ['TCP: null flags', f({ flags: 0 }), 'tcpFlags'],
  ['TCP: SYN+FIN', f({ flags: SYN | FIN }), 'tcpFlags'],
  ['TCP: SYN+RST', f({ flags: SYN | RST }), 'tcpFlags'],
  ['TCP: all flags', f({ flags: 0xff }), 'tcpFlags'],
  ['TCP: SYN, RST, FIN with payload', f({ flags: SYN }), 'ok'],
  ['TCP: checksum off by one bit', f({ checksumError: 1 }), 'tcpChecksum'],
  ['TCP: checksum 0', f({ checksum: 0 }), 'tcpChecksum'],
  ['TCP: checksum 0xffff', f({ checksum: 0xffff }), 'tcpChecksum'],
  ['TCP over IPv6: checksum off by one bit', six({ checksumError: 0x8000 }), 'tcpChecksum'],
  ['TCP: source port 0', f({ sourcePort: 0 }), 'tcpPort'],
  ['TCP: destination port 0', f({ destinationPort: 0 }), 'tcpPort'],
  ['TCP: urgent pointer past the end', f({ flags: ACK | 0x20, urgent: 0xffff }), 'ok'],
]

t.test('malformed input, by name', async t => {
  for (const [name, bytes, expected, options] of cases) t.equal(verdict(bytes, options), expected, name)
})

t.test('cut at any byte it is refused', async t => {
  for (const [family, virtioSize] of [
    [4, 0],
    [6, 0],
    [4, 12],
    [6, 10],
  ] as const) {
    const whole = f({ family, virtioSize })
    t.equal(verdict(whole, { virtioSize }), 'ok')
    const accepted = Array.from(whole.keys()).filter(cut => verdict(whole.slice(0, cut), { virtioSize }) === 'ok')
    t.strictSame(accepted, [])
  }
})

t.test('the checksum counts only when the kernel does not vouch for it', async t => {
  for (const family of [4, 6] as const) {
    for (const virtioSize of [10, 12] as const) {
      const of = (flags: number) =>
        verdict(frame({ family, virtioSize, virtio: { flags }, checksumError: 1, payload: [1] }), { virtioSize })
      t.equal(of(0), 'tcpChecksum')
      t.equal(of(1), 'ok', 'NEEDS_CSUM')
      t.equal(of(2), 'ok', 'DATA_VALID')
      t.equal(of(4), 'tcpChecksum', 'other bits mean nothing')
    }
    // A super-packet without a word of the kernel is summed as a whole.
    const bytes = (checksumError: number) =>
      frame({ family, virtioSize: 10, virtio: { gsoType: 1, gsoSize: 100 }, checksumError, payload: counting(60_000) })
    t.equal(verdict(bytes(0), { virtioSize: 10 }), 'ok')
    t.equal(verdict(bytes(0x10), { virtioSize: 10 }), 'tcpChecksum')
  }
  const damagedHeader = frame({ virtioSize: 10, virtio: { flags: 1 }, ip4: { checksumError: 1 } })
  t.equal(verdict(damagedHeader, { virtioSize: 10 }), 'ipv4Checksum', "nobody vouches for the IP header's")
})

t.test('what was parsed', async t => {
  const tcp = { sourcePort: 60_000, destinationPort: 4567, seq: 0xfffffff0, ack: 0x80000001, flags: ACK | 8 }
  for (const virtioSize of [0, 10, 12] as const) {
    const four = parse(frame({ ...tcp, virtioSize, options: [1, 1, 1, 1], payload: [7, 8, 9] }), { virtioSize })
    t.match(four, {
      family: 4,
      ports: (60_000 << 16) | 4567,
      localPort: 4567,
      r0: 0xc0a8c901 | 0,
      r1: 0,
      r2: 0,
      r3: 0,
      flags: ACK | 8,
      seq: 0xfffffff0,
      ack: 0x80000001,
      payload: { at: 101 + virtioSize + 44, length: 3, segmentSize: 3 },
    })
    const extensions = [extension(0), extension(60, 2)]
    t.match(parse(frame({ ...tcp, family: 6, virtioSize, ip6: { extensions }, payload: [7] }), { virtioSize }), {
      family: 6,
      ports: (60_000 << 16) | 4567,
      r0: 0xfcc90000 | 0,
      r1: 0,
      r2: 0,
      r3: 1,
      payload: { at: 101 + virtioSize + 40 + 24 + 20, length: 1, segmentSize: 1 },
    })
  }
  const padded4 = [...packet4({}, { payload: [1, 2] }), 0xee, 0xee]
  t.match(parse(padded4), { payload: { length: 2 } }, 'padding behind an IPv4 packet is no payload')
  t.match(parse([...packet6({}, { payload: [1, 2] }), 0xee]), { payload: { length: 2 } })
  t.match(parse(frame({})), { payload: { length: 0, segmentSize: 0 } }, 'a bare ACK')
})

t.test('datagram boundaries of super-packets', async t => {
  const sizes = (gsoType: number, gsoSize: number, length: number, family: 4 | 6 = 4) => {
    const parsed = parse(frame({ family, virtioSize: 12, virtio: { gsoType, gsoSize }, payload: counting(length) }), {
      virtioSize: 12,
    })
    return typeof parsed === 'string' ? parsed : [parsed.payload.segmentSize, parsed.payload.length]
  }
  t.strictSame(sizes(1, 1400, 4200), [1400, 4200])
  t.strictSame(sizes(1, 1400, 4201), [1400, 4201], 'a shorter last one')
  t.strictSame(sizes(4, 1400, 2801, 6), [1400, 2801])
  t.strictSame(sizes(0x81, 1000, 2500), [1000, 2500], 'with the ECN modifier')
  t.strictSame(sizes(1, 1400, 1400), [1400, 1400])
  t.strictSame(sizes(1, 1400, 900), [900, 900], 'gso_size larger than the payload')
  t.strictSame(sizes(0, 1400, 2800), [2800, 2800], 'gso_size means nothing without a type')
  t.strictSame(sizes(1, 1, 65_495), [1, 65_495])
})
