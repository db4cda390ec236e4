/**
 * The modules of src/wire together, as the inbound path uses them, against a parser that is slow and obviously right.
 */
import fc from 'fast-check'
import t from 'tap'
import { pseudo4, pseudo6 } from '../../src/wire/checksum.js'
import { type Fault, faultNames } from '../../src/wire/fault.js'
import * as ip from '../../src/wire/ip.js'
import * as ipv4 from '../../src/wire/ipv4.js'
import * as ipv6 from '../../src/wire/ipv6.js'
import * as tcp from '../../src/wire/tcp.js'
import * as virtioNet from '../../src/wire/virtio-net.js'
import {
  extension,
  guarded,
  type Ip4Fields,
  type Ip6Fields,
  long,
  naiveChecksum,
  naiveSum,
  packet4,
  packet6,
  placed,
  type TcpFields,
  word,
} from './packets.js'

interface Parsed {
  source: string
  destination: string
  sourcePort: number
  destinationPort: number
  seq: number
  ack: number
  flags: number
  payload: number[]
  segmentSize: number
}
type FaultName = keyof typeof Fault

/** The fast one: a frame with a virtio-net header of `size` bytes (0: none) at `at` … `end`. */
const parse = (b: Uint8Array, at: number, end: number, size: number): Parsed | FaultName => {
  let segmentSize = 0
  let trusted = false
  if (size > 0) {
    const checked = virtioNet.check(b, at, end, size)
    if (checked < 0) return faultNames[~checked]
    if (virtioNet.gsoType(b, at) !== virtioNet.Gso.none) segmentSize = virtioNet.gsoSize(b, at)
    trusted = virtioNet.checksumTrusted(b, at)
  }
  const header = at + size
  const version = ip.check(b, header, end)
  if (version < 0) return faultNames[~version]
  const six = version === 6
  const length = six ? ipv6.check(b, header, end) : ipv4.check(b, header, end)
  if (length < 0) return faultNames[~length]
  if (!(six ? ipv6.usableSource(b, header) : ipv4.usableSource(ipv4.source(b, header)))) return 'sourceAddress'
  const segment = header + length
  const stop = header + (six ? 40 + ipv6.payloadLength(b, header) : ipv4.totalLength(b, header))
  const tcpLength = tcp.check(b, segment, stop)
  if (tcpLength < 0) return faultNames[~tcpLength]
  if (!trusted) {
    const bytes = stop - segment
    const pseudo = six ? pseudo6(b, header + 8, header + 24, bytes) : pseudo4(b, header + 12, header + 16, bytes)
    if (!tcp.checksumValid(b, segment, stop, pseudo)) return 'tcpChecksum'
  }
  const words = (first: number): string => [0, 1, 2, 3].flatMap(i => long(ipv6.word(b, header, first + i))).join('.')
  const payload: number[] = []
  for (let i = segment + tcpLength; i < stop; i++) payload.push(b[i])
  return {
    source: six ? words(0) : long(ipv4.source(b, header)).join('.'),
    destination: six ? words(4) : long(ipv4.destination(b, header)).join('.'),
    sourcePort: tcp.sourcePort(b, segment),
    destinationPort: tcp.destinationPort(b, segment),
    seq: tcp.seq(b, segment),
    ack: tcp.ack(b, segment),
    flags: tcp.flags(b, segment),
    payload,
    segmentSize,
  }
}

/** Bytes that can only be consumed from the front; too few is a fault of the reader's choice. */
class Cursor {
  readonly bytes: number[]
  constructor(bytes: number[]) {
    this.bytes = bytes
  }
  take(count: number, fault: FaultName): number[] {
    if (count > this.bytes.length) throw new Refused(fault)
    return this.bytes.splice(0, count)
  }
}
class Refused extends Error {
  readonly fault: FaultName
  constructor(fault: FaultName) {
    super(fault)
    this.fault = fault
  }
}
const refuse = (when: boolean, fault: FaultName): void => {
  if (when) throw new Refused(fault)
}
const number = (bytes: number[]): number => bytes.reduce((n, byte) => n * 256 + byte, 0)

const naiveOptions6 = (bytes: number[]): void => {
  const options = new Cursor([...bytes])
  while (options.bytes.length > 0) {
    const [type] = options.take(1, 'ipv6ExtensionHeader')
    if (type === 0) continue
    refuse(type >= 64, 'ipv6ExtensionHeader')
    const [length] = options.take(1, 'ipv6ExtensionHeader')
    options.take(length, 'ipv6ExtensionHeader')
  }
}

const naiveOptionsTcp = (bytes: number[]): void => {
  const options = new Cursor([...bytes])
  while (options.bytes.length > 0) {
    const [kind] = options.take(1, 'tcpOptions')
    if (kind === 0) return
    if (kind === 1) continue
    const [length] = options.take(1, 'tcpOptions')
    refuse(length < 2, 'tcpOptions')
    options.take(length - 2, 'tcpOptions')
  }
}

const naiveTcp = (bytes: number[], pseudo: number[], trusted: boolean) => {
  const rest = new Cursor([...bytes])
  const head = rest.take(20, 'tcpTooShort')
  const words = Math.floor(head[12] / 16)
  refuse(words < 5, 'tcpDataOffset')
  const options = rest.take(words * 4 - 20, 'tcpDataOffset')
  const sourcePort = number(head.slice(0, 2))
  const destinationPort = number(head.slice(2, 4))
  refuse(sourcePort === 0 || destinationPort === 0, 'tcpPort')
  const [ack, , rst, syn, fin] = [...(head[13] % 32).toString(2).padStart(5, '0')].map(bit => bit === '1')
  refuse([syn, fin, rst].filter(Boolean).length > 1, 'tcpFlags')
  refuse(!syn && !rst && !ack, 'tcpFlags')
  naiveOptionsTcp(options)
  refuse(!trusted && naiveSum([...pseudo, ...bytes]) !== 0xffff, 'tcpChecksum')
  return {
    sourcePort,
    destinationPort,
    seq: number(head.slice(4, 8)),
    ack: number(head.slice(8, 12)),
    flags: head[13],
    payload: rest.bytes,
  }
}

const naive4 = (bytes: number[], trusted: boolean) => {
  const words = bytes[0] % 16
  refuse(words < 5 || words * 4 > bytes.length, 'ipv4HeaderLength')
  const header = bytes.slice(0, words * 4)
  const total = number(header.slice(2, 4))
  refuse(total < header.length || total > bytes.length, 'ipv4TotalLength')
  refuse(naiveSum(header) !== 0xffff, 'ipv4Checksum')
  const fragment = number(header.slice(6, 8)) % 0x4000
  refuse(fragment !== 0, 'ipv4Fragment')
  refuse(header[9] !== 6, 'ipv4Protocol')
  const source = header.slice(12, 16)
  const first = source[0]
  refuse(first === 0 || first === 127 || (first >= 224 && first < 240), 'sourceAddress')
  refuse(source.join('.') === '255.255.255.255', 'sourceAddress')
  const destination = header.slice(16, 20)
  const segment = bytes.slice(header.length, total)
  const pseudo = [...source, ...destination, 0, 6, ...word(segment.length)]
  return { source: source.join('.'), destination: destination.join('.'), ...naiveTcp(segment, pseudo, trusted) }
}

const naive6 = (bytes: number[], trusted: boolean) => {
  const rest = new Cursor([...bytes])
  const header = rest.take(40, 'frameTooShort')
  const length = number(header.slice(4, 6))
  refuse(length === 0, 'ipv6PayloadLength')
  const packet = new Cursor(rest.take(length, 'ipv6PayloadLength'))
  let next = header[6]
  let extensions = 0
  while (next !== 6) {
    refuse(next === 44, 'ipv6Fragment')
    refuse(next === 51, 'ipv6ExtensionHeader')
    refuse(![0, 43, 60].includes(next), 'ipv6Protocol')
    refuse(next === 0 && extensions > 0, 'ipv6ExtensionHeader')
    extensions += 1
    refuse(extensions > 8, 'ipv6ExtensionHeader')
    const start = packet.take(8, 'ipv6ExtensionHeader')
    const whole = [...start, ...packet.take(start[1] * 8, 'ipv6ExtensionHeader')]
    if (next === 43) refuse(whole[2] === 0 || whole[3] > 0, 'ipv6ExtensionHeader')
    else naiveOptions6(whole.slice(2))
    next = whole[0]
  }
  const source = header.slice(8, 24)
  const text = source.join('.')
  refuse(source[0] === 255, 'sourceAddress')
  refuse(text === '0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0' || text === '0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1', 'sourceAddress')
  refuse(text.startsWith('0.0.0.0.0.0.0.0.0.0.255.255.'), 'sourceAddress')
  const destination = header.slice(24, 40)
  const segment = packet.bytes
  const pseudo = [...source, ...destination, ...long(segment.length), 0, 0, 0, 6]
  return { source: text, destination: destination.join('.'), ...naiveTcp(segment, pseudo, trusted) }
}

/** The slow one. */
const naive = (bytes: number[], size: number): Parsed | FaultName => {
  try {
    const frame = new Cursor([...bytes])
    const virtio = frame.take(size, 'frameTooShort')
    const [flags, type] = size > 0 ? virtio : [0, 0]
    const gsoSize = size > 0 ? virtio[4] + virtio[5] * 256 : 0
    refuse(type !== 0 && ![1, 3, 4, 5].includes(type % 128), 'virtioGso')
    refuse(type !== 0 && gsoSize === 0, 'virtioGso')
    const trusted = flags % 4 > 0
    const packet = frame.bytes
    refuse(packet.length < 20, 'frameTooShort')
    const version = Math.floor(packet[0] / 16)
    refuse(version !== 4 && version !== 6, 'ipVersion')
    const parsed = version === 4 ? naive4(packet, trusted) : naive6(packet, trusted)
    return { ...parsed, segmentSize: type === 0 ? 0 : gsoSize }
  } catch (error) {
    if (error instanceof Refused) return error.fault
    throw error
  }
}

/** Both parsers; the fast one at an odd offset, and it may not read a byte outside of the frame. */
const both = (bytes: number[], size = 0): [Parsed | FaultName, Parsed | FaultName] => {
  const end = 5 + bytes.length
  return [parse(guarded(placed(bytes, 5), 5, end), 5, end, size), naive(bytes, size)]
}

const ones = (length: number): number[] => new Array<number>(length).fill(1)
const v4 = (fields: Ip4Fields, tcp: TcpFields = { payload: [1, 2, 3] }): number[] => packet4(fields, tcp)
const v6 = (fields: Ip6Fields, tcp: TcpFields = { payload: [1, 2, 3] }): number[] => packet6(fields, tcp)
const segment = (fields: TcpFields): number[] => packet4({}, fields)
const virtio = (type: number, gsoSize: number, flags = 0, hdrLen = 40): number[] => [
  flags,
  type,
  hdrLen & 0xff,
  hdrLen >>> 8,
  gsoSize & 0xff,
  gsoSize >>> 8,
  20,
  0,
  16,
  0,
]
const altered = (kind: number, at: number, value: number): number[] => {
  const header = extension(kind)
  header.bytes[at] = value
  return v6({ extensions: [header] })
}
const address6 = (...words: number[]): number[] => words.flatMap(long)

interface Case {
  name: string
  bytes: number[]
  /** 'ok' or the fault. */
  expected: FaultName | 'ok'
  virtioSize?: number
}
const cases: Case[] = [
  { name: 'frame: empty', bytes: [], expected: 'frameTooShort' },
  { name: 'frame: 1 byte', bytes: [0x45], expected: 'frameTooShort' },
  { name: 'frame: 19 bytes', bytes: v4({}).slice(0, 19), expected: 'frameTooShort' },
  { name: 'frame: 39 bytes of v6', bytes: v6({}).slice(0, 39), expected: 'frameTooShort' },
  ...[0, 5, 15].map(version => ({
    name: `frame: IP version ${version}`,
    bytes: v4({ version }),
    expected: 'ipVersion' as const,
  })),
  { name: 'frame: virtio header only', bytes: virtio(0, 0), expected: 'frameTooShort', virtioSize: 10 },
  { name: 'frame: virtio header cut', bytes: virtio(0, 0).slice(0, 9), expected: 'frameTooShort', virtioSize: 10 },
  {
    name: 'frame: gso_size 0 with gso_type',
    bytes: [...virtio(1, 0), ...v4({})],
    expected: 'virtioGso',
    virtioSize: 10,
  },
  { name: 'frame: unknown gso_type', bytes: [...virtio(2, 9), ...v4({})], expected: 'virtioGso', virtioSize: 10 },
  {
    name: 'frame: hdr_len past the end',
    bytes: [...virtio(1, 9, 0, 0xffff), ...v4({})],
    expected: 'ok',
    virtioSize: 10,
  },
  {
    name: 'frame: NEEDS_CSUM, checksum is a partial sum',
    bytes: [...virtio(1, 9, 1), ...segment({ checksum: 0 })],
    expected: 'ok',
    virtioSize: 10,
  },
  {
    name: 'frame: DATA_VALID',
    bytes: [...virtio(0, 0, 2), ...segment({ checksum: 0 })],
    expected: 'ok',
    virtioSize: 10,
  },
  ...[0, 1, 2, 3, 4].map(headerLength => ({
    name: `IPv4: IHL ${headerLength}`,
    bytes: v4({ headerLength }),
    expected: 'ipv4HeaderLength' as const,
  })),
  { name: 'IPv4: IHL past the end', bytes: v4({ headerLength: 15 }), expected: 'ipv4HeaderLength' },
  { name: 'IPv4: IHL 15 with options', bytes: v4({ options: ones(40) }), expected: 'ok' },
  { name: 'IPv4: total length < IHL', bytes: v4({ totalLength: 19 }), expected: 'ipv4TotalLength' },
  { name: 'IPv4: total length > read', bytes: v4({ totalLength: 44 }), expected: 'ipv4TotalLength' },
  { name: 'IPv4: trailing padding', bytes: [...v4({}), 0, 0, 0], expected: 'ok' },
  { name: 'IPv4: MF', bytes: v4({ fragment: 0x2000 }), expected: 'ipv4Fragment' },
  { name: 'IPv4: fragment offset', bytes: v4({ fragment: 1 }), expected: 'ipv4Fragment' },
  { name: 'IPv4: UDP', bytes: v4({ protocol: 17 }), expected: 'ipv4Protocol' },
  { name: 'IPv4: bad header checksum', bytes: v4({ checksumError: 1 }), expected: 'ipv4Checksum' },
  { name: 'IPv4: source multicast', bytes: v4({ source: 0xe0000001 }), expected: 'sourceAddress' },
  { name: 'IPv4: source broadcast', bytes: v4({ source: 0xffffffff }), expected: 'sourceAddress' },
  { name: 'IPv4: source 0.0.0.0', bytes: v4({ source: 0 }), expected: 'sourceAddress' },
  { name: 'IPv4: source loopback', bytes: v4({ source: 0x7f000001 }), expected: 'sourceAddress' },
  { name: 'IPv6: payload length 0', bytes: v6({ payloadLength: 0 }), expected: 'ipv6PayloadLength' },
  { name: 'IPv6: payload length > read', bytes: v6({ payloadLength: 24 }), expected: 'ipv6PayloadLength' },
  { name: 'IPv6: payload length < TCP', bytes: v6({ payloadLength: 19 }), expected: 'tcpTooShort' },
  { name: 'IPv6: trailing padding', bytes: [...v6({}), 0, 0, 0], expected: 'ok' },
  { name: 'IPv6: hop-by-hop', bytes: v6({ extensions: [extension(0)] }), expected: 'ok' },
  { name: 'IPv6: routing', bytes: v6({ extensions: [extension(43)] }), expected: 'ok' },
  { name: 'IPv6: routing type 0', bytes: altered(43, 2, 0), expected: 'ipv6ExtensionHeader' },
  { name: 'IPv6: routing, segments left', bytes: altered(43, 3, 1), expected: 'ipv6ExtensionHeader' },
  { name: 'IPv6: fragment', bytes: v6({ extensions: [extension(44)] }), expected: 'ipv6Fragment' },
  { name: 'IPv6: 8 chained', bytes: v6({ extensions: new Array(8).fill(extension(60)) }), expected: 'ok' },
  {
    name: 'IPv6: 9 chained',
    bytes: v6({ extensions: new Array(9).fill(extension(60)) }),
    expected: 'ipv6ExtensionHeader',
  },
  { name: 'IPv6: header past the end', bytes: altered(60, 1, 9), expected: 'ipv6ExtensionHeader' },
  { name: 'IPv6: authentication header', bytes: v6({ extensions: [extension(51)] }), expected: 'ipv6ExtensionHeader' },
  { name: 'IPv6: UDP', bytes: v6({ protocol: 17 }), expected: 'ipv6Protocol' },
  { name: 'IPv6: source unspecified', bytes: v6({ source: address6(0, 0, 0, 0) }), expected: 'sourceAddress' },
  { name: 'IPv6: source loopback', bytes: v6({ source: address6(0, 0, 0, 1) }), expected: 'sourceAddress' },
  { name: 'IPv6: source multicast', bytes: v6({ source: address6(0xff020000, 0, 0, 1) }), expected: 'sourceAddress' },
  { name: 'IPv6: source mapped', bytes: v6({ source: address6(0, 0, 0xffff, 9) }), expected: 'sourceAddress' },
  ...[0, 13, 19].map(cut => ({ name: `TCP: ${cut} bytes`, bytes: segment({ cut }), expected: 'tcpTooShort' as const })),
  ...[0, 1, 2, 3, 4].map(dataOffset => ({
    name: `TCP: data offset ${dataOffset}`,
    bytes: segment({ dataOffset }),
    expected: 'tcpDataOffset' as const,
  })),
  { name: 'TCP: data offset past the end', bytes: segment({ dataOffset: 6 }), expected: 'tcpDataOffset' },
  { name: 'TCP: data offset 15', bytes: segment({ options: ones(40) }), expected: 'ok' },
  { name: 'TCP: option length 0', bytes: segment({ options: [5, 0, 0, 0] }), expected: 'tcpOptions' },
  { name: 'TCP: option length 1', bytes: segment({ options: [5, 1, 0, 0] }), expected: 'tcpOptions' },
  { name: 'TCP: option past the end', bytes: segment({ options: [5, 5, 0, 0] }), expected: 'tcpOptions' },
  { name: 'TCP: null flags', bytes: segment({ flags: 0 }), expected: 'tcpFlags' },
  { name: 'TCP: SYN+FIN', bytes: segment({ flags: 3 }), expected: 'tcpFlags' },
  { name: 'TCP: SYN+RST', bytes: segment({ flags: 6 }), expected: 'tcpFlags' },
  { name: 'TCP: all flags', bytes: segment({ flags: 0xff }), expected: 'tcpFlags' },
  { name: 'TCP: FIN without ACK', bytes: segment({ flags: 1 }), expected: 'tcpFlags' },
  { name: 'TCP: SYN with payload', bytes: segment({ flags: 2, payload: [1] }), expected: 'ok' },
  { name: 'TCP: RST with payload', bytes: segment({ flags: 4, payload: [1] }), expected: 'ok' },
  { name: 'TCP: FIN with payload', bytes: segment({ flags: 0x11, payload: [1] }), expected: 'ok' },
  { name: 'TCP: checksum off by one bit', bytes: segment({ checksumError: 0x100 }), expected: 'tcpChecksum' },
  { name: 'TCP: checksum 0', bytes: segment({ checksum: 0 }), expected: 'tcpChecksum' },
  { name: 'TCP: checksum 0xffff', bytes: segment({ checksum: 0xffff }), expected: 'tcpChecksum' },
  { name: 'TCP over IPv6: checksum off by one bit', bytes: v6({}, { checksumError: 1 }), expected: 'tcpChecksum' },
  { name: 'TCP: source port 0', bytes: segment({ sourcePort: 0 }), expected: 'tcpPort' },
  { name: 'TCP: destination port 0', bytes: segment({ destinationPort: 0 }), expected: 'tcpPort' },
  { name: 'TCP: urgent pointer past the end', bytes: segment({ flags: 0x30, urgent: 0xffff }), expected: 'ok' },
  { name: 'state: LAND is not a parse fault', bytes: v4({ source: 9e8, destination: 9e8 }), expected: 'ok' },
]

t.test('malformed input, by name', async t => {
  for (const { name, bytes, expected, virtioSize } of cases) {
    const [fast, slow] = both(bytes, virtioSize)
    t.equal(typeof fast === 'string' ? fast : 'ok', expected, name)
    t.strictSame(fast, slow, `${name}: the naive parser agrees`)
  }
  const seen = new Set(cases.map(({ expected }) => expected))
  const missing = faultNames.filter(name => !seen.has(name) && !name.startsWith('icmp'))
  t.strictSame(missing, [], 'every fault but those of ICMP is among the cases')
})

const ipOptions = fc.nat({ max: 10 }).map(words => ones(words * 4))
const tcpFields: fc.Arbitrary<TcpFields> = fc.record({
  sourcePort: fc.integer({ min: 1, max: 0xffff }),
  destinationPort: fc.integer({ min: 1, max: 0xffff }),
  seq: fc.nat({ max: 0xffffffff }),
  ack: fc.nat({ max: 0xffffffff }),
  flags: fc.constantFrom(0x02, 0x12, 0x10, 0x18, 0x04, 0x14, 0x11),
  options: fc.constantFrom([], [1, 3, 3, 14], [2, 4, 5, 180, 4, 2, 1, 1], ones(40)),
  payload: fc.array(fc.nat({ max: 255 }), { maxLength: 50 }),
})
const extensions = fc
  .array(fc.tuple(fc.constantFrom(43, 60), fc.integer({ min: 1, max: 3 })), { maxLength: 9 })
  .map(list => list.map(([kind, words]) => extension(kind, words)))
const valid = fc.oneof(
  fc
    .record({ options: ipOptions, source: fc.constantFrom(0xc0000201, 0x0a000001), id: fc.nat({ max: 0xffff }) })
    .chain(fields => tcpFields.map(tcp => packet4(fields, tcp))),
  extensions.chain(list => tcpFields.map(tcp => packet6({ extensions: list.slice(0, 8) }, tcp))),
)

t.test('what is valid is parsed, and cut at any byte it is a fault', async () => {
  fc.assert(
    fc.property(valid, packet => {
      const [fast, slow] = both(packet)
      return typeof fast === 'object' && JSON.stringify(fast) === JSON.stringify(slow)
    }),
  )
  fc.assert(
    fc.property(valid, packet =>
      packet.every((_, cut) => {
        const b = placed(packet, 5)
        return typeof parse(guarded(b, 5, 5 + cut), 5, 5 + cut, 0) === 'string'
      }),
    ),
    { numRuns: 30 },
  )
})

t.test('differential: damaged packets', async () => {
  const damage = fc.array(
    fc.tuple(fc.oneof({ weight: 4, arbitrary: fc.nat({ max: 60 }) }, fc.nat({ max: 200 })), fc.nat({ max: 255 })),
    { maxLength: 3 },
  )
  const virtioHeader = fc.tuple(
    fc.nat({ max: 7 }),
    fc.constantFrom(0, 0, 0, 1, 2, 3, 4, 5, 0x80, 0x81),
    fc.constantFrom(0, 9, 0x100),
  )
  fc.assert(
    fc.property(
      valid,
      damage,
      fc.boolean(),
      fc.constantFrom(0, 0, 10, 12),
      virtioHeader,
      fc.integer({ min: -20, max: 20 }),
      (packet, damage, repair, size, [flags, type, gsoSize], slack) => {
        const bytes = [...packet]
        for (const [at, value] of damage) if (at < bytes.length) bytes[at] = value
        // With its checksum put right, a damaged IPv4 header gets as far as the other rules.
        const header = (bytes[0] & 15) * 4
        if (repair && bytes[0] >>> 4 === 4 && header >= 20 && header <= bytes.length) {
          bytes.splice(10, 2, 0, 0)
          bytes.splice(10, 2, ...word(naiveChecksum(bytes.slice(0, header))))
        }
        // Half of the runs keep their length.
        if (slack > 10) bytes.push(...ones(slack - 10))
        else if (slack < -10) bytes.length = Math.max(0, bytes.length + slack + 10)
        const prefix = [...virtio(type, gsoSize, flags), 0, 0].slice(0, size)
        const [fast, slow] = both([...prefix, ...bytes], size)
        return JSON.stringify(fast) === JSON.stringify(slow)
      },
    ),
    { numRuns: 5000 },
  )
})

t.test('differential: random bytes, with and without a plausible start', async () => {
  const starts = fc.constantFrom<number[]>([], [0x45, 0], [0x60, 0, 0, 0, 0, 40, 60], [0x60, 0, 0, 0, 0, 40, 6])
  fc.assert(
    fc.property(
      starts,
      fc.array(fc.nat({ max: 255 }), { maxLength: 120 }),
      fc.constantFrom(0, 10, 12),
      (start, rest, size) => {
        const [fast, slow] = both([...start, ...rest], size)
        return JSON.stringify(fast) === JSON.stringify(slow)
      },
    ),
    { numRuns: 3000 },
  )
})
