import fc from 'fast-check'
import t from 'tap'
import { setU16, setU32, u16, u32 } from '../../src/wire/bytes.js'
import { poisoned, poisonedOutside } from '../support/packets.js'

const offset = fc.nat({ max: 20 })

t.test('16 and 32 bit fields agree with DataView, at any offset', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 24, maxLength: 24 }), offset, (b, at) => {
      const view = new DataView(b.buffer, b.byteOffset)
      return u16(b, at) === view.getUint16(at) && u32(b, at) === view.getUint32(at)
    }),
  )
})

t.test('what is written is read back, and nothing beside it is touched', async () => {
  fc.assert(
    fc.property(fc.nat({ max: 0xffff }), fc.nat({ max: 0xffffffff }), offset, (short, long, at) => {
      const a = poisoned(24)
      setU16(a, at, short)
      const b = poisoned(24)
      setU32(b, at, long)
      return u16(a, at) === short && u32(b, at) === long && poisonedOutside(a, at, 2) && poisonedOutside(b, at, 4)
    }),
  )
})

t.test('signed words write the same bytes as unsigned ones', async t => {
  const b = poisoned(8)
  setU32(b, 0, -1)
  t.equal(u32(b, 0), 0xffffffff)
  setU32(b, 1, 0x80000001 | 0)
  t.equal(u32(b, 1), 0x80000001)
})
