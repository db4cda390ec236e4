import t from 'tap'
import { native } from '../../src/native.js'
import { failure, openPair, readPacket, sharedArena } from '../support/native.js'
import { naiveSum } from '../support/packets.js'
import { randomBytes } from '../support/random.js'

const EFAULT = failure('EFAULT')
const EINVAL = failure('EINVAL')
const EMSGSIZE = failure('EMSGSIZE')

/** A header template; what the addon has to set is filled with junk. */
const template = (
  version: 4 | 6,
  tcpLength: number,
  virtioLength: number,
  sequence: number,
  id: number,
): Uint8Array => {
  const ipLength = version === 4 ? 20 : 40
  const bytes = randomBytes(virtioLength + ipLength + tcpLength, tcpLength)
  const view = new DataView(bytes.buffer, virtioLength)
  view.setUint8(0, version === 4 ? 0x45 : 0x60)
  if (version === 4) {
    view.setUint16(4, id)
    view.setUint8(9, 6)
  } else {
    view.setUint8(6, 6)
  }
  view.setUint32(ipLength + 4, sequence)
  view.setUint8(ipLength + 12, (tcpLength / 4) << 4)
  return bytes
}

/** The packet that is due for `payload`: the template with its fields computed by the book. */
const segment = (
  head: Uint8Array,
  virtioLength: number,
  payload: Uint8Array,
  index: number,
  before: number,
): Buffer => {
  const packet = Buffer.concat([head, payload])
  packet.fill(0, 0, virtioLength)
  const ip = packet.subarray(virtioLength)
  const isIPv4 = ip[0] >> 4 === 4
  const tcp = ip.subarray(isIPv4 ? 20 : 40)
  if (isIPv4) {
    ip.writeUInt16BE(ip.length, 2)
    ip.writeUInt16BE((ip.readUInt16BE(4) + index) & 0xffff, 4)
    ip.writeUInt16BE(0, 10)
    ip.writeUInt16BE(0xffff - naiveSum(ip.subarray(0, 20)), 10)
  } else {
    ip.writeUInt16BE(tcp.length, 4)
  }
  tcp.writeUInt32BE((tcp.readUInt32BE(4) + before) >>> 0, 4)
  tcp.writeUInt16BE(0, 16)
  const addresses = isIPv4 ? ip.subarray(12, 20) : ip.subarray(8, 40)
  tcp.writeUInt16BE(0xffff - naiveSum(tcp, naiveSum(addresses) + 6 + tcp.length), 16)
  return packet
}

for (const version of [4, 6] as const) {
  for (const [tcpLength, virtioLength] of [
    [20, 0],
    [32, 10],
    [60, 12],
  ]) {
    t.test(`IPv${version}, TCP header of ${tcpLength}, virtio header of ${virtioLength}`, async t => {
      const [left, right] = openPair()
      const body = randomBytes(20000, 1)
      const { arena, bytes } = sharedArena(20000)
      bytes.set(body)
      const vec = sharedArena(256)
      // seq and id wrap around on the way; lengths are odd and even, offsets too.
      const head = template(version, tcpLength, virtioLength, 0xffffff00, 0xfffd)
      const original = head.slice()
      const pieces = [
        [1, 4321],
        [8000, 100],
        [10000, 0],
        [4, 1001],
        [333, 1],
      ]
      for (const segmentSize of [0, 333, 1000, 1001, 100000]) {
        vec.words.set(pieces.flat(), 3)
        const payloads = pieces.flatMap(([at, length]) => {
          const size = segmentSize || length
          const count = Math.ceil(length / size) || 0
          return Array.from({ length: count }, (_, i) =>
            body.subarray(at + i * size, Math.min(at + length, at + (i + 1) * size)),
          )
        })
        const written = native.writeSegments(
          left,
          head,
          0,
          head.length,
          virtioLength,
          arena,
          vec.arena,
          3,
          pieces.length,
          segmentSize,
        )
        t.equal(written, payloads.length, `segments of ${segmentSize}`)
        let before = 0
        for (const [index, payload] of payloads.entries()) {
          const packet = Buffer.from(readPacket(right))
          t.ok(packet.equals(segment(head, virtioLength, payload, index, before)), `segment ${index}`)
          before += payload.length
        }
      }
      t.same(head, original, 'the template is unchanged')
      for (const fd of [left, right]) native.close(fd)
    })
  }
}

t.test('refusals', async t => {
  const [left, right] = openPair()
  const body = new Uint8Array(70000)
  const vec = sharedArena(16384)
  vec.words.set([0, 1000])
  const head = template(4, 20, 12, 1, 1)
  const write = (head: Uint8Array, virtioLength: number, pieces = 1, segmentSize = 100, headLength = head.length) =>
    native.writeSegments(left, head, 0, headLength, virtioLength, body, vec.arena, 0, pieces, segmentSize)

  t.equal(write(head, 12, 0), 0)
  t.equal(write(head, 12, 1, -1), EINVAL)
  t.equal(write(head, 12, 1024), EINVAL)
  t.equal(write(head, 12, 1, 100, head.length + 1), EFAULT)
  t.equal(write(head, 10), EINVAL, 'no IP header there')
  t.equal(write(head, -1), EINVAL)
  t.equal(write(head, head.length), EINVAL)
  t.equal(write(head, 12, 1, 100, head.length - 4), EINVAL, 'data offset disagrees')
  t.equal(write(new Uint8Array(1000).fill(0x45), 0), EINVAL)
  const options = head.slice()
  options[12] = 0x46
  t.equal(write(options, 12), EINVAL, 'IPv4 options')
  vec.words.set([0, 70000])
  t.equal(write(head, 12, 1, 0), EMSGSIZE)
  t.equal(write(template(6, 20, 12, 1, 1), 12, 1, 0), EMSGSIZE)
  vec.words.set([0, 65536 - 40])
  t.equal(write(head, 12, 1, 0), EMSGSIZE)
  vec.words.set([0, 1000, 0, 70000])
  t.equal(write(head, 12, 2, 0), 1, 'the count so far')
  t.equal(readPacket(right).length, 12 + 40 + 1000)
  vec.words.set([0, 1000, 0, 70001])
  t.equal(write(head, 12, 2), EFAULT, 'before anything is written')

  vec.words.set([0, 70000])
  let result = 0
  for (let i = 0; i < 1000 && result >= 0; i++) result = write(head, 12, 1, 1000)
  t.equal(result, failure('EAGAIN'), 'the queue is full')
  while (native.read(right, body, 0, body.length) > 0);
  native.close(right)
  t.equal(write(head, 12, 1, 1000), failure('EPIPE'))
  native.close(left)
  t.equal(write(head, 12, 1, 1000), failure('EBADF'))
})
