import t from 'tap'
import { Continuity } from '../../src/demo/continuity.js'
import * as ipv4 from '../../src/wire/ipv4.js'
import * as tcp from '../../src/wire/tcp.js'

const { syn, ack, rst } = tcp.Flag

/** Feeds segments [forward?, flags, seq, payload bytes]; the gaps found. */
const gapsOf = (...segments: [boolean, number, number, number][]): number => {
  const continuity = new Continuity()
  for (const [forward, flags, seq, payload] of segments) {
    const b = new Uint8Array(128).fill(0xa5)
    const [source, destination] = forward ? [0x0a000001, 0x0a000002] : [0x0a000002, 0x0a000001]
    const [sourcePort, destinationPort] = forward ? [1_000, 2_000] : [2_000, 1_000]
    const totalLength = 20 + tcp.emit(b, 27, { sourcePort, destinationPort, seq, ack: 0, flags }) + payload
    ipv4.emit(b, 7, { totalLength, id: 0, source, destination })
    continuity.segment(b, 7, totalLength)
  }
  return continuity.gaps
}

t.test('a whole connection', async t => {
  t.equal(
    gapsOf(
      [true, syn, 0xffffff00, 0],
      [false, syn | ack, 9, 0],
      [true, ack, 0xffffff01, 0],
      [true, ack, 0xffffff01, 60_000],
      [false, ack, 10, 40],
      [true, ack, 59_745, 1],
      [true, rst, 59_746, 0],
    ),
    0,
  )
})

t.test('a capture that starts in the middle', async t => {
  t.equal(gapsOf([true, ack, 500, 10], [true, ack, 510, 10]), 0)
})

t.test('what is missing is noticed once', async t => {
  t.equal(gapsOf([true, ack, 500, 10], [true, ack, 511, 10], [true, ack, 521, 10]), 1)
})

t.test('an old segment is no gap', async t => {
  t.equal(gapsOf([true, ack, 500, 10], [true, ack, 500, 10], [true, ack, 499, 0], [true, ack, 510, 10]), 0)
})
