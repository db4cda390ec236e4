import fc from 'fast-check'
import t from 'tap'
import { Fault } from '../../src/wire/fault.js'
import * as icmp from '../../src/wire/icmp.js'
import * as ipv4 from '../../src/wire/ipv4.js'
import * as ipv6 from '../../src/wire/ipv6.js'
import { extension, guarded, icmp4, icmp6, ip4, ip6, packet4, packet6, placed } from '../support/packets.js'

const ours4 = packet4({ source: 0xc0a8c802, destination: 0xcb007105 }, { payload: new Array<number>(100).fill(9) })
const ours6 = packet6({}, { payload: new Array<number>(100).fill(9) })

/** The check of `message` in an IPv4 packet. */
const checked4 = (message: Uint8Array): number => {
  const packet = ip4({ protocol: 1 }, message)
  const end = 3 + packet.length
  const b = guarded(placed(packet, 3), 3, end)
  return icmp.check(b, 3 + ipv4.check(b, 3, end, 1), end, 4)
}
const checked6 = (message: Uint8Array, extensions = 0): number => {
  const packet = ip6({ protocol: 58, extensions: new Array(extensions).fill(extension(60)) }, message)
  const end = 3 + packet.length
  const b = guarded(placed(packet, 3), 3, end)
  const at = 3 + ipv6.check(b, 3, end, 58)
  return extensions === 0 ? icmp.check(b, at, end, 6) : icmp.check(b, at, end, 6, 3)
}

t.test('fragmentation needed', async t => {
  const message = icmp4(ours4.slice(0, 28), { mtu: 1380 })
  t.equal(checked4(message), 0)
  t.equal(checked4(icmp4(ours4)), 0, 'a whole packet quoted')
  const b = placed(message, 5)
  t.equal(icmp.mtu(b, 5), 1380)
  t.equal(ipv4.source(b, icmp.quote(5)), 0xc0a8c802)
  t.equal(ipv4.destination(b, icmp.quote(5)), 0xcb007105)
  t.equal(icmp.quotedTcp(b, 5), 5 + 8 + 20)
  t.equal(icmp.quotedSourcePort(b, 5), 40_000)
  t.equal(icmp.quotedDestinationPort(b, 5), 4567)
  t.equal(icmp.quotedSeq(b, 5), 0x01020304)
  const optioned = placed(icmp4(packet4({ options: [1, 1, 1, 0] })), 5)
  t.equal(icmp.quotedSeq(optioned, 5), 0x01020304, 'a quote with IP options')
})

t.test('packet too big', async t => {
  const message = icmp6(ours6, { mtu: 1280 })
  t.equal(checked6(message), 0)
  t.equal(checked6(message, 2), 0, 'behind extension headers')
  t.equal(checked6(icmp6(ours6, { code: 7 })), 0, 'the code is ignored')
  const b = placed(message, 5)
  t.equal(icmp.mtu(b, 5), 1280)
  t.equal(ipv6.word(b, icmp.quote(5), 3), 1)
  t.equal(ipv6.word(b, icmp.quote(5), 7), 2)
  t.equal(icmp.quotedTcp(b, 5), 5 + 8 + 40)
  t.equal(icmp.quotedSourcePort(b, 5), 40_000)
  t.equal(icmp.quotedDestinationPort(b, 5), 4567)
  t.equal(icmp.quotedSeq(b, 5), 0x01020304)
})

t.test('any MTU is reported as it stands', async t => {
  for (const mtu of [0, 68, 1500, 0xffff]) t.equal(icmp.mtu(placed(icmp4(ours4, { mtu }), 5), 5), mtu)
  for (const mtu of [0, 68, 0xffff, 0xffffffff]) t.equal(icmp.mtu(placed(icmp6(ours6, { mtu }), 5), 5), mtu)
})

t.test('quote cut at every byte', async t => {
  for (let cut = 0; cut <= 60; cut++) {
    t.equal(checked4(icmp4(ours4.slice(0, cut))), cut < 28 ? Fault.icmpQuote : 0, `${cut} bytes`)
    t.equal(checked6(icmp6(ours6.slice(0, cut))), cut < 48 ? Fault.icmpQuote : 0, `${cut} bytes, v6`)
  }
})

t.test('header cut at every byte', async t => {
  for (let cut = 0; cut < 8; cut++) {
    t.equal(icmp.check(guarded(placed(icmp4(ours4), 40), 40, 40 + cut), 40, 40 + cut, 4), Fault.icmpTooShort)
    t.equal(icmp.check(guarded(placed(icmp6(ours6), 40), 40, 40 + cut), 40, 40 + cut, 6), Fault.icmpTooShort)
  }
})

t.test('type, code, checksum', async t => {
  t.equal(checked4(icmp4(ours4, { type: 8 })), Fault.icmpType, 'echo request')
  t.equal(checked4(icmp4(ours4, { code: 3 })), Fault.icmpType, 'port unreachable')
  t.equal(checked6(icmp6(ours6, { type: 128 })), Fault.icmpType)
  t.equal(checked4(icmp6(ours6)), Fault.icmpType, 'the type of ICMPv6 in ICMPv4')
  t.equal(checked6(icmp4(ours4)), Fault.icmpType, 'and the other way')
  for (let bit = 0; bit < 16; bit++) {
    t.equal(checked4(icmp4(ours4, { checksumError: 1 << bit })), Fault.icmpChecksum)
    t.equal(checked6(icmp6(ours6, { checksumError: 1 << bit })), Fault.icmpChecksum)
  }
})

t.test('quotes that cannot be ours', async t => {
  t.equal(checked4(icmp4(packet4({ protocol: 17 }))), Fault.icmpQuote, 'UDP')
  t.equal(checked4(icmp4(packet4({ version: 6 }))), Fault.icmpQuote, 'version')
  t.equal(checked4(icmp4(packet4({ headerLength: 4 }))), Fault.icmpQuote, 'IHL 4')
  t.equal(checked4(icmp4(packet4({ headerLength: 15 }))), Fault.icmpQuote, 'IHL past the end')
  t.equal(checked4(icmp4(packet4({ fragment: 1 }))), Fault.icmpQuote, 'a later fragment')
  t.equal(checked4(icmp4(packet4({ fragment: 0x2000 }))), 0, 'the first fragment')
  t.equal(checked4(icmp4(packet4({ checksumError: 1 }))), 0, 'its header checksum may be stale')
  t.equal(checked6(icmp6(packet6({ protocol: 17 }))), Fault.icmpQuote, 'UDP')
  t.equal(checked6(icmp6(packet6({ version: 4 }))), Fault.icmpQuote, 'version')
  t.equal(checked6(icmp6(packet6({ extensions: [extension(60)] }))), Fault.icmpQuote, 'extension headers')
})

t.test('random bytes never throw and never read outside', async () => {
  const bytes = fc.uint8Array({ maxLength: 120 })
  fc.assert(
    fc.property(bytes, fc.constantFrom(4, 6), fc.boolean(), (bytes, version, typed) => {
      const b = placed(bytes, 43)
      if (typed && bytes.length > 1) b.set(version === 4 ? [3, 4] : [2, 0], 43)
      return icmp.check(guarded(b, 3, 43 + bytes.length), 43, 43 + bytes.length, version) <= 0
    }),
  )
})
