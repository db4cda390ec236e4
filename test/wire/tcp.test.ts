import fc from 'fast-check'
import t from 'tap'
import { finish, pseudo4, pseudo6, sum } from '../../src/wire/checksum.js'
import { Fault } from '../../src/wire/fault.js'
import * as ipv4 from '../../src/wire/ipv4.js'
import * as ipv6 from '../../src/wire/ipv6.js'
import * as tcp from '../../src/wire/tcp.js'
import { flagNames } from '../support/flag-names.js'
import { guarded, packet4, packet6, placed, poisoned, poisonedOutside, type TcpFields } from '../support/packets.js'

const { Flag } = tcp
const port = fc.integer({ min: 1, max: 0xffff })
const long = fc.nat({ max: 0xffffffff })
const sent = fc.constantFrom(Flag.syn, Flag.syn | Flag.ack, Flag.ack, Flag.rst, Flag.rst | Flag.ack)

t.test('emit → check → accessors', async () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 33 }),
      port,
      port,
      long,
      long,
      sent,
      (at, sourcePort, destinationPort, seq, ack, flags) => {
        const b = poisoned(at + 40)
        const length = tcp.emit(b, at, { sourcePort, destinationPort, seq, ack, flags })
        return (
          length === ((flags & Flag.syn) !== 0 ? tcp.synHeaderLength : tcp.headerLength) &&
          poisonedOutside(b, at, length) &&
          tcp.check(guarded(b, at, at + length), at, at + length) === length &&
          tcp.sourcePort(b, at) === sourcePort &&
          tcp.destinationPort(b, at) === destinationPort &&
          tcp.seq(b, at) === seq &&
          tcp.ack(b, at) === ack &&
          tcp.dataOffset(b, at) === length &&
          tcp.flags(b, at) === flags &&
          tcp.window(b, at) === 65_535 &&
          tcp.checksum(b, at) === 0 &&
          tcp.urgent(b, at) === 0
        )
      },
    ),
  )
})

t.test('the bytes of a stock peer', async t => {
  const b = poisoned(25)
  const ports = { sourcePort: 0x1234, destinationPort: 0x5678 }
  t.equal(tcp.emit(b, 0, { ...ports, seq: 0, ack: 1, flags: Flag.syn | Flag.ack }), 24)
  t.strictSame(
    [...b],
    [0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 0, 0, 0, 1, 0x60, 0x12, 0xff, 0xff, 0, 0, 0, 0, 1, 3, 3, 0x0e, 0xa5],
  )
  t.equal(tcp.emit(b, 0, { ...ports, seq: -1, ack: 0x80000000 | 0, flags: Flag.ack }), 20)
  t.strictSame(
    [...b.subarray(0, 20)],
    [0x12, 0x34, 0x56, 0x78, 255, 255, 255, 255, 0x80, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0],
  )
})

t.test('whole packets as emitted equal those built by hand, checksum included', async t => {
  const payload = fc.uint8Array({ maxLength: 100 })
  fc.assert(
    fc.property(
      port,
      port,
      long,
      long,
      sent,
      long,
      long,
      payload,
      (sourcePort, destinationPort, seq, ack, flags, source, destination, bytes) => {
        const b = poisoned(200)
        const header = tcp.emit(b, 20, { sourcePort, destinationPort, seq, ack, flags })
        b.set(bytes, 20 + header)
        const length = header + bytes.length
        ipv4.emit(b, 0, { totalLength: 20 + length, id: 7, source, destination })
        const pseudo = pseudo4(b, 12, 16, length)
        tcp.setChecksum(b, 20, finish(sum(b, 20, length, pseudo)))
        const expected = packet4(
          { id: 7, source, destination },
          {
            sourcePort,
            destinationPort,
            seq,
            ack,
            flags,
            payload: [...bytes],
            options: header === 24 ? [1, 3, 3, 14] : [],
          },
        )
        return (
          tcp.checksumValid(b, 20, 20 + length, pseudo) &&
          expected.length === 20 + length &&
          expected.every((byte, i) => byte === b[i])
        )
      },
    ),
  )
  const b = poisoned(100)
  const ports = { sourcePort: 40_000, destinationPort: 4567 }
  const header = tcp.emit(b, 40, { ...ports, seq: 0x01020304, ack: 0xf0f1f2f3, flags: Flag.ack })
  b.set([1, 2, 3], 40 + header)
  ipv6.emit(b, 0, { payloadLength: header + 3, source: [0xfcc90000, 0, 0, 1], destination: [0xfcc90000, 0, 0, 2] })
  tcp.setChecksum(b, 40, finish(sum(b, 40, header + 3, pseudo6(b, 8, 24, header + 3))))
  t.strictSame([...b.subarray(0, 63)], [...packet6({}, { payload: [1, 2, 3] })])
})

/** `tcp.check` of a segment built by hand. */
const checked = (fields: TcpFields): number => {
  const packet = packet4({}, fields)
  const b = guarded(placed(packet, 3), 23, 3 + packet.length)
  return tcp.check(b, 23, 3 + packet.length)
}

t.test('cut at every byte', async t => {
  const options = [2, 4, 5, 180, 1, 3, 3, 14]
  for (let cut = 0; cut < 28; cut++) {
    t.equal(checked({ options, cut }), cut < 20 ? Fault.tcpTooShort : Fault.tcpDataOffset, `${cut} bytes`)
  }
  t.equal(checked({ options, cut: 28 }), 28)
})

t.test('data offset', async t => {
  for (let dataOffset = 0; dataOffset < 5; dataOffset++) {
    t.equal(checked({ dataOffset, payload: new Array<number>(60).fill(1) }), Fault.tcpDataOffset, `${dataOffset}`)
  }
  t.equal(checked({ dataOffset: 6 }), Fault.tcpDataOffset, 'past the end')
  t.equal(checked({ dataOffset: 15, payload: new Array<number>(39).fill(1) }), Fault.tcpDataOffset, '15, past the end')
  t.equal(checked({ options: new Array<number>(40).fill(1) }), 60, '15, valid')
})

t.test('options', async t => {
  t.equal(checked({ options: [1, 3, 3, 14] }), 24)
  t.equal(checked({ options: [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2] }), 32, 'timestamps')
  t.equal(checked({ options: [8, 0, 1, 1] }), Fault.tcpOptions, 'length 0')
  t.equal(checked({ options: [8, 1, 1, 1] }), Fault.tcpOptions, 'length 1')
  t.equal(checked({ options: [8, 5, 0, 0], payload: [0, 0, 0] }), Fault.tcpOptions, 'past the header')
  t.equal(checked({ options: [1, 1, 1, 3], payload: [2] }), Fault.tcpOptions, 'without a length')
  t.equal(checked({ options: [1, 1, 1, 3] }), Fault.tcpOptions, 'without a length, at the end of the packet')
  t.equal(checked({ options: [1, 0, 8, 0] }), 24, 'nothing counts after end-of-options')
  t.equal(checked({ options: [254, 4, 0, 0] }), 24, 'unknown kind')
  t.equal(checked({ options: [254, 2, 254, 2] }), 24)
})

t.test('every combination of flags', async t => {
  const accepted = new Set(['SYN', 'SYN|ACK', 'ACK', 'RST', 'RST|ACK', 'FIN|ACK'])
  for (let flags = 0; flags < 256; flags++) {
    const bare = flagNames(flags & (Flag.fin | Flag.syn | Flag.rst | Flag.ack))
    const expected = accepted.has(bare) ? 20 : Fault.tcpFlags
    if (checked({ flags }) !== expected) t.fail(flagNames(flags))
  }
  t.equal(checked({ flags: 0 }), Fault.tcpFlags, 'null')
  t.equal(checked({ flags: Flag.syn | Flag.fin }), Fault.tcpFlags, 'SYN+FIN')
  t.equal(checked({ flags: Flag.syn | Flag.rst }), Fault.tcpFlags, 'SYN+RST')
  t.equal(checked({ flags: Flag.fin | Flag.rst | Flag.ack }), Fault.tcpFlags, 'FIN+RST')
  t.equal(checked({ flags: 0xff }), Fault.tcpFlags, 'all')
  t.equal(checked({ flags: Flag.psh }), Fault.tcpFlags, 'no ACK')
  t.equal(checked({ flags: Flag.ack | Flag.psh | Flag.urg | Flag.ece | Flag.cwr }), 20)
  for (const flags of [Flag.syn, Flag.rst, Flag.fin | Flag.ack]) {
    t.equal(checked({ flags, payload: [1, 2, 3] }), 20, `${flagNames(flags)} with payload is for the state machine`)
  }
})

t.test('flag names', async t => {
  t.strictSame(Flag, { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 })
  t.equal(flagNames(Flag.syn | Flag.ack), 'SYN|ACK')
  t.equal(flagNames(0), 'none')
  t.equal(flagNames(0xff), 'FIN|SYN|RST|PSH|ACK|URG|ECE|CWR')
})

t.test('ports and urgent pointer', async t => {
  t.equal(checked({ sourcePort: 0 }), Fault.tcpPort)
  t.equal(checked({ destinationPort: 0 }), Fault.tcpPort)
  t.equal(checked({ sourcePort: 1, destinationPort: 0xffff }), 20)
  t.equal(checked({ flags: Flag.ack | Flag.urg, urgent: 0xffff }), 20, 'urgent pointer past the end')
})

t.test('checksum', async t => {
  const valid = (fields: TcpFields): boolean => {
    const packet = packet4({}, fields)
    const b = placed(packet, 1)
    return tcp.checksumValid(b, 21, 1 + packet.length, pseudo4(b, 13, 17, packet.length - 20))
  }
  for (const length of [0, 1, 2, 99, 1400]) {
    const payload = Array.from({ length }, (_, i) => i & 0xff)
    t.ok(valid({ payload }), `${length} bytes`)
    for (let bit = 0; bit < 16; bit++) t.notOk(valid({ payload, checksumError: 1 << bit }), `bit ${bit}`)
    t.notOk(valid({ payload, checksum: 0 }))
    t.notOk(valid({ payload, checksum: 0xffff }))
  }
})
