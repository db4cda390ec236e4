import fc from 'fast-check'
import t from 'tap'
import { Fault } from '../../src/wire/fault.js'
import * as virtioNet from '../../src/wire/virtio-net.js'
import { guarded, placed, poisoned, poisonedOutside } from '../support/packets.js'

const { Flag, Gso } = virtioNet
const size = fc.constantFrom(10, 12)
const short = fc.nat({ max: 0xffff })
const at = fc.nat({ max: 9 })

t.test('emit → check → accessors', async () => {
  fc.assert(
    fc.property(
      size,
      at,
      fc.nat({ max: 3 }),
      fc.constantFrom(Gso.none, Gso.tcp4, Gso.tcp6, Gso.udp, Gso.udpL4),
      short,
      fc.integer({ min: 1, max: 0xffff }),
      short,
      short,
      (size, at, flags, gsoType, hdrLen, gsoSize, csumStart, csumOffset) => {
        const b = poisoned(40)
        const written = virtioNet.emit(b, at, size, { flags, gsoType, hdrLen, gsoSize, csumStart, csumOffset })
        return (
          written === size &&
          poisonedOutside(b, at, size) &&
          virtioNet.check(guarded(b, at, at + size), at, at + size, size) === size &&
          virtioNet.flags(b, at) === flags &&
          virtioNet.gsoType(b, at) === gsoType &&
          virtioNet.hdrLen(b, at) === hdrLen &&
          virtioNet.gsoSize(b, at) === gsoSize &&
          virtioNet.csumStart(b, at) === csumStart &&
          virtioNet.csumOffset(b, at) === csumOffset &&
          (size === 10 || virtioNet.numBuffers(b, at) === 0) &&
          virtioNet.checksumTrusted(b, at) === flags > 0
        )
      },
    ),
  )
})

t.test('the bytes are those of struct virtio_net_hdr, little-endian', async t => {
  const b = poisoned(14)
  virtioNet.emit(b, 1, 12, {
    flags: Flag.needsCsum,
    gsoType: Gso.tcp4,
    hdrLen: 40,
    gsoSize: 1400,
    csumStart: 20,
    csumOffset: 16,
  })
  t.strictSame([...b], [0xa5, 1, 1, 40, 0, 0x78, 0x05, 20, 0, 16, 0, 0, 0, 0xa5])
})

t.test('constants of linux/virtio_net.h', async t => {
  t.strictSame(Flag, { needsCsum: 1, dataValid: 2 })
  t.strictSame(Gso, { none: 0, tcp4: 1, udp: 3, tcp6: 4, udpL4: 5, ecn: 0x80 })
})

t.test('cut at every byte', async t => {
  const b = placed([1, 1, 40, 0, 0x78, 5, 20, 0, 16, 0, 0, 0], 3)
  for (const size of [10, 12]) {
    for (let cut = 0; cut < size; cut++) {
      t.equal(virtioNet.check(guarded(b, 3, 3 + cut), 3, 3 + cut, size), Fault.frameTooShort)
    }
    t.equal(virtioNet.check(b, 3, 3 + size, size), size, 'header only: the IP check refuses the rest')
  }
})

const header = (fields: Partial<virtioNet.Header>): number => {
  const b = poisoned(12)
  virtioNet.emit(b, 0, 10, {
    flags: 0,
    gsoType: 0,
    hdrLen: 40,
    gsoSize: 1400,
    csumStart: 20,
    csumOffset: 16,
    ...fields,
  })
  return virtioNet.check(b, 0, 10, 10)
}

t.test('gso_type and gso_size', async t => {
  t.equal(header({ gsoType: Gso.tcp4, gsoSize: 0 }), Fault.virtioGso, 'gso_size 0 with gso_type')
  t.equal(header({ gsoType: Gso.none, gsoSize: 0 }), 10)
  t.equal(header({ gsoType: Gso.tcp6 | Gso.ecn }), 10, 'ECN is a modifier')
  t.equal(header({ gsoType: Gso.ecn }), Fault.virtioGso, 'ECN alone')
  const known: number[] = [Gso.none, Gso.tcp4, Gso.udp, Gso.tcp6, Gso.udpL4]
  for (let gsoType = 0; gsoType < 0x80; gsoType++) {
    if (header({ gsoType }) !== (known.includes(gsoType) ? 10 : Fault.virtioGso)) t.fail(`gso_type ${gsoType}`)
  }
  t.equal(header({ gsoType: Gso.tcp4, hdrLen: 0xffff }), 10, 'hdr_len past the end is ignored')
})

t.test('random bytes never throw', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), size, (bytes, size) => {
      const result = virtioNet.check(guarded(bytes, 0, bytes.length), 0, bytes.length, size)
      return result === size || result === Fault.frameTooShort || result === Fault.virtioGso
    }),
  )
})
