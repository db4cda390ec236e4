import fc from 'fast-check'
import t from 'tap'
import { Fault } from '../../src/wire/fault.js'
import * as ipv4 from '../../src/wire/ipv4.js'
import { guarded, type Ip4Fields, ip4, naiveSum, placed, poisoned, poisonedOutside } from '../support/packets.js'

const long = fc.nat({ max: 0xffffffff })
const short = fc.nat({ max: 0xffff })

t.test('emit → check → accessors', async () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 33 }),
      fc.integer({ min: 20, max: 0xffff }),
      short,
      long,
      long,
      (at, total, id, source, destination) => {
        const b = poisoned(at + 30)
        const written = ipv4.emit(b, at, { totalLength: total, id, source, destination })
        const signed = poisoned(at + 30)
        ipv4.emit(signed, at, { totalLength: total, id, source: source | 0, destination: destination | 0 })
        return (
          written === 20 &&
          poisonedOutside(b, at, 20) &&
          signed.every((byte, i) => byte === b[i]) &&
          naiveSum(b.subarray(at, at + 20)) === 0xffff &&
          ipv4.check(guarded(b, at, at + 20), at, at + total) === 20 &&
          ipv4.version(b, at) === 4 &&
          ipv4.headerLength(b, at) === 20 &&
          ipv4.totalLength(b, at) === total &&
          ipv4.id(b, at) === id &&
          ipv4.fragment(b, at) === 0x4000 &&
          ipv4.ttl(b, at) === 64 &&
          ipv4.protocol(b, at) === 6 &&
          ipv4.checksum(b, at) === b[at + 10] * 256 + b[at + 11] &&
          ipv4.source(b, at) === source &&
          ipv4.destination(b, at) === destination
        )
      },
    ),
  )
})

t.test('the bytes of a stock peer: DF, TTL 64, TOS 0', async t => {
  const b = poisoned(20)
  const header = { totalLength: 40, id: 0x1234, source: 0xc0000201, destination: 0xcb007105 }
  ipv4.emit(b, 0, header)
  t.strictSame([...b], [...ip4(header, [])])
})

t.test('cut at every byte', async t => {
  const packet = ip4({ options: [1, 1, 1, 0] }, new Array<number>(20).fill(7))
  const b = placed(packet, 5)
  for (let cut = 0; cut < packet.length; cut++) {
    const fault = cut < 20 ? Fault.frameTooShort : cut < 24 ? Fault.ipv4HeaderLength : Fault.ipv4TotalLength
    t.equal(ipv4.check(guarded(b, 5, 5 + cut), 5, 5 + cut), fault, `${cut} bytes`)
  }
  t.equal(ipv4.check(guarded(b, 5, 5 + packet.length), 5, 5 + packet.length), 24)
})

const checked = (fields: Ip4Fields, extra = 0): number => {
  const packet = ip4(fields, new Array<number>(20).fill(7))
  return ipv4.check(guarded(placed(packet, 3, extra), 3, 3 + packet.length + extra), 3, 3 + packet.length + extra)
}

t.test('header length', async t => {
  for (let headerLength = 0; headerLength < 5; headerLength++) {
    t.equal(checked({ headerLength }), Fault.ipv4HeaderLength, `IHL ${headerLength}`)
  }
  t.equal(checked({ headerLength: 11 }), Fault.ipv4HeaderLength, 'IHL past the end')
  t.equal(checked({ headerLength: 15 }), Fault.ipv4HeaderLength, 'IHL 15 past the end')
  t.equal(checked({ options: new Array<number>(40).fill(1) }), 60, 'IHL 15 with options')
})

t.test('total length', async t => {
  t.equal(checked({ totalLength: 0 }), Fault.ipv4TotalLength)
  t.equal(checked({ totalLength: 19 }), Fault.ipv4TotalLength)
  t.equal(checked({ options: [1, 1, 1, 0], totalLength: 23 }), Fault.ipv4TotalLength, 'below IHL')
  t.equal(checked({ totalLength: 41 }), Fault.ipv4TotalLength, 'more than was read')
  t.equal(checked({ totalLength: 0xffff }), Fault.ipv4TotalLength)
  t.equal(checked({}, 6), 20, 'trailing padding')
})

t.test('fragments', async t => {
  t.equal(checked({ fragment: 0x2000 }), Fault.ipv4Fragment, 'MF')
  t.equal(checked({ fragment: 0x6000 }), Fault.ipv4Fragment, 'MF and DF')
  t.equal(checked({ fragment: 0x0001 }), Fault.ipv4Fragment, 'offset 8')
  t.equal(checked({ fragment: 0x1fff }), Fault.ipv4Fragment, 'largest offset')
  t.equal(checked({ fragment: 0 }), 20, 'no DF')
  t.equal(checked({ fragment: 0x8000 }), 20, 'reserved bit')
})

t.test('version, protocol and checksum', async t => {
  for (const version of [0, 5, 6, 15]) t.equal(checked({ version }), Fault.ipVersion)
  for (const protocol of [0, 1, 17, 255]) t.equal(checked({ protocol }), Fault.ipv4Protocol)
  for (let bit = 0; bit < 16; bit++) t.equal(checked({ checksumError: 1 << bit }), Fault.ipv4Checksum, `bit ${bit}`)
  t.equal(checked({ protocol: 1, fragment: 0x2000 }), Fault.ipv4Fragment, 'the protocol comes last')
  const icmp = placed(ip4({ protocol: 1 }, [1, 2, 3]), 0)
  t.equal(ipv4.check(icmp, 0, 23, 1), 20, 'another protocol on request')
})

t.test('source addresses', async t => {
  const refused = [0, 1, 0x00ffffff, 0x7f000001, 0x7fffffff, 0xe0000000, 0xe0000001, 0xefffffff, 0xffffffff]
  const usable = [0x01000000, 0x0a000001, 0x7effffff, 0x80000000, 0xc0a8c801, 0xdfffffff, 0xf0000001, 0xfffffffe]
  for (const word of refused) t.notOk(ipv4.usableSource(word) || ipv4.usableSource(word | 0), word.toString(16))
  for (const word of usable) t.ok(ipv4.usableSource(word) && ipv4.usableSource(word | 0), word.toString(16))
})
