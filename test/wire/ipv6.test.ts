import fc from 'fast-check'
import t from 'tap'
import { Fault } from '../../src/wire/fault.js'
import * as ipv6 from '../../src/wire/ipv6.js'
import { extension, guarded, type Ip6Fields, ip6, long, placed, poisoned, poisonedOutside } from '../support/packets.js'

const [hopByHop, routing, fragment, authentication, destinationOptions] = [0, 43, 44, 51, 60]
const payload = new Array<number>(20).fill(7)

t.test('emit → check → accessors', async () => {
  const words = fc.array(fc.nat({ max: 0xffffffff }), { minLength: 8, maxLength: 8 })
  fc.assert(
    fc.property(fc.nat({ max: 33 }), fc.integer({ min: 1, max: 0xffff }), words, (at, length, words) => {
      const b = poisoned(at + 50)
      const [source, destination] = [words.slice(0, 4), words.slice(4)]
      const written = ipv6.emit(b, at, { payloadLength: length, source, destination })
      const signed = poisoned(at + 50)
      ipv6.emit(signed, at, {
        payloadLength: length,
        source: Int32Array.from(source),
        destination: Int32Array.from(destination),
      })
      return (
        written === 40 &&
        poisonedOutside(b, at, 40) &&
        signed.every((byte, i) => byte === b[i]) &&
        ipv6.check(guarded(b, at, at + 40), at, at + 40 + length) === 40 &&
        ipv6.version(b, at) === 6 &&
        ipv6.flowLabel(b, at) === 0 &&
        ipv6.payloadLength(b, at) === length &&
        ipv6.nextHeader(b, at) === 6 &&
        ipv6.hopLimit(b, at) === 64 &&
        words.every((word, i) => ipv6.word(b, at, i) === word)
      )
    }),
  )
})

t.test('the bytes of a stock peer: hop limit 64, no class, no flow label', async t => {
  const b = poisoned(40)
  ipv6.emit(b, 0, { payloadLength: 20, source: [0xfcc90000, 0, 0, 1], destination: [0xfcc90000, 0, 0, 2] })
  t.strictSame([...b], [...ip6({ payloadLength: 20 }, [])])
})

const checked = (fields: Ip6Fields, extra = 0, protocol = 6): number => {
  const packet = ip6(fields, payload)
  const end = 3 + packet.length + extra
  return ipv6.check(guarded(placed(packet, 3, extra), 3, end), 3, end, protocol)
}

t.test('cut at every byte', async t => {
  const extensions = [extension(hopByHop), extension(routing), extension(destinationOptions, 2)]
  const packet = ip6({ extensions }, payload)
  const b = placed(packet, 5)
  for (let cut = 0; cut < packet.length; cut++) {
    const fault = cut < 40 ? Fault.frameTooShort : Fault.ipv6PayloadLength
    t.equal(ipv6.check(guarded(b, 5, 5 + cut), 5, 5 + cut), fault, `${cut} bytes`)
  }
  t.equal(ipv6.check(guarded(b, 5, 5 + packet.length), 5, 5 + packet.length), 72)
})

t.test('extension headers cut at every byte, with the payload length to match', async t => {
  const extensions = [extension(hopByHop), extension(routing), extension(destinationOptions, 2)]
  const packet = ip6({ extensions }, payload)
  for (let length = 1; length < 32; length++) {
    const b = placed(packet, 0)
    b[5] = length
    t.equal(ipv6.check(guarded(b, 0, 40 + length), 0, packet.length), Fault.ipv6ExtensionHeader, `${length} bytes`)
  }
})

t.test('class and flow label are read past', async t => {
  const b = placed(ip6({}, payload), 3)
  b.set([0x6a, 0xbc, 0xde, 0xf1], 3)
  t.equal(ipv6.check(b, 3, 63), 40)
  t.equal(ipv6.version(b, 3), 6)
  t.equal(ipv6.flowLabel(b, 3), 0xcdef1)
})

t.test('version, payload length, padding', async t => {
  for (const version of [0, 4, 5, 15]) t.equal(checked({ version }), Fault.ipVersion)
  t.equal(checked({ payloadLength: 0 }), Fault.ipv6PayloadLength)
  t.equal(checked({ payloadLength: 21 }), Fault.ipv6PayloadLength, 'more than was read')
  t.equal(checked({ payloadLength: 0xffff }), Fault.ipv6PayloadLength)
  t.equal(checked({ payloadLength: 19 }), 40, 'too short for TCP: the TCP check says so')
  t.equal(checked({}, 6), 40, 'trailing padding')
})

t.test('extension headers', async t => {
  t.equal(checked({ extensions: [extension(hopByHop)] }), 48)
  t.equal(checked({ extensions: [extension(destinationOptions, 3)] }), 64)
  t.equal(checked({ extensions: [extension(routing)] }), 48, 'no segments left')
  t.equal(checked({ extensions: [extension(fragment)] }), Fault.ipv6Fragment)
  t.equal(checked({ extensions: [extension(hopByHop), extension(fragment)] }), Fault.ipv6Fragment)
  t.equal(checked({ extensions: [extension(authentication)] }), Fault.ipv6ExtensionHeader)
  t.equal(
    checked({ extensions: [extension(destinationOptions), extension(hopByHop)] }),
    Fault.ipv6ExtensionHeader,
    'hop-by-hop in second place',
  )
  const eight = new Array(8).fill(extension(destinationOptions))
  t.equal(checked({ extensions: eight }), 104, '8 chained')
  t.equal(checked({ extensions: [...eight, extension(destinationOptions)] }), Fault.ipv6ExtensionHeader, '9 chained')
  const bare = ip6({ extensions: [extension(60)] }, [])
  t.equal(ipv6.check(guarded(placed(bare, 3), 3, 51), 3, 51), 48, 'nothing after it: the TCP check says so')
  const altered = (kind: number, at: number, value: number): number => {
    const header = extension(kind)
    header.bytes[at] = value
    return checked({ extensions: [header] })
  }
  t.equal(altered(routing, 2, 0), Fault.ipv6ExtensionHeader, 'routing type 0')
  t.equal(altered(routing, 3, 1), Fault.ipv6ExtensionHeader, 'routing with a segment left')
  t.equal(altered(routing, 1, 3), Fault.ipv6ExtensionHeader, 'past the end')
  t.equal(altered(destinationOptions, 1, 255), Fault.ipv6ExtensionHeader, 'past the end')
})

t.test('options inside an extension header', async t => {
  const options = (...bytes: number[]): number => checked({ extensions: [{ kind: 60, bytes: [0, 0, ...bytes] }] })
  t.equal(options(0, 0, 0, 0, 0, 0), 48, 'Pad1 six times')
  t.equal(options(0, 1, 3, 0, 0, 0), 48, 'Pad1 and PadN')
  t.equal(options(5, 2, 0, 0, 1, 0), 48, 'router alert: may be skipped')
  t.equal(options(1, 5, 0, 0, 0, 0), Fault.ipv6ExtensionHeader, 'past the header')
  t.equal(options(0, 0, 0, 0, 0, 1), Fault.ipv6ExtensionHeader, 'without a length')
  const last = ip6({ extensions: [{ kind: 60, bytes: [0, 0, 0, 0, 0, 0, 0, 1] }] }, [])
  t.equal(ipv6.check(guarded(placed(last, 3), 3, 51), 3, 51), Fault.ipv6ExtensionHeader, 'and nothing after it')
  t.equal(options(0x45, 4, 0, 0, 0, 0), Fault.ipv6ExtensionHeader, 'discard if unknown')
  t.equal(options(0xc2, 4, 0, 1, 0, 0), Fault.ipv6ExtensionHeader, 'jumbo payload')
})

t.test('other protocols', async t => {
  for (const protocol of [4, 17, 50, 58, 59, 135]) t.equal(checked({ protocol }), Fault.ipv6Protocol)
  t.equal(checked({ protocol: 58, extensions: [extension(hopByHop)] }), Fault.ipv6Protocol)
  t.equal(checked({ protocol: 58, extensions: [extension(hopByHop)] }, 0, 58), 48, 'on request')
})

t.test('source addresses', async t => {
  const usable = (...words: number[]): boolean =>
    ipv6.usableSource(placed(ip6({ source: words.flatMap(long) }, payload), 3), 3)
  t.notOk(usable(0, 0, 0, 0), '::')
  t.notOk(usable(0, 0, 0, 1), '::1')
  t.notOk(usable(0xff020000, 0, 0, 1), 'multicast')
  t.notOk(usable(0xff000000, 0, 0, 0), 'multicast')
  t.notOk(usable(0, 0, 0xffff, 0xc0000201), 'IPv4-mapped')
  t.ok(usable(0, 0, 0, 2))
  t.ok(usable(0, 0, 0x10000, 0))
  t.ok(usable(0, 0, 1, 1))
  t.ok(usable(0, 1, 0, 1))
  t.ok(usable(1, 0, 0, 0))
  t.ok(usable(0x80000000, 0x80000000, 0, 1))
  t.ok(usable(0xfe800000, 0, 0, 1), 'link-local')
  t.ok(usable(0xfcc90000, 0, 0, 1))
})
