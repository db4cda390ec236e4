/**
 * The modules of src/wire together, as the inbound path uses them, against a parser that is slow and obviously right.
 */
import fc from 'fast-check'
import t from 'tap'
import { pseudo4, pseudo6 } from '../../src/wire/checksum.js'
import { faultNames } from '../../src/wire/fault.js'
import * as ipv4 from '../../src/wire/ipv4.js'
import * as ipv6 from '../../src/wire/ipv6.js'
import * as tcp from '../../src/wire/tcp.js'
import * as virtioNet from '../../src/wire/virtio-net.js'
import {
  extension,
  guarded,
  long,
  naiveChecksum,
  packet4,
  packet6,
  placed,
  type TcpFields,
  word,
} from '../support/packets.js'
import { malformed, ones, virtio } from './malformed.js'
import { type FaultName, naive, type Parsed } from './naive.js'

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
  if (end - header < ipv4.minimumHeaderLength) return 'frameTooShort'
  const version = ipv4.version(b, header)
  if (version !== 4 && version !== 6) return 'ipVersion'
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

/** Both parsers; the fast one at an odd offset, and it may not read a byte outside of the frame. */
const both = (bytes: number[], size = 0): [Parsed | FaultName, Parsed | FaultName] => {
  const end = 5 + bytes.length
  return [parse(guarded(placed(bytes, 5), 5, end), 5, end, size), naive(bytes, size)]
}

t.test('malformed input, by name', async t => {
  for (const { name, bytes, expected, virtioSize } of malformed) {
    const [fast, slow] = both(bytes, virtioSize)
    t.equal(typeof fast === 'string' ? fast : 'ok', expected, name)
    t.strictSame(fast, slow, `${name}: the naive parser agrees`)
  }
  const seen = new Set(malformed.map(({ expected }) => expected))
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
    .chain(fields => tcpFields.map(tcp => [...packet4(fields, tcp)])),
  extensions.chain(list => tcpFields.map(tcp => [...packet6({ extensions: list.slice(0, 8) }, tcp)])),
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
