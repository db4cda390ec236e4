import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import {
  fileHeaderLength,
  PcapWriter,
  putFileHeader,
  putRecordHeader,
  recordHeaderLength,
} from '../../src/demo/pcap.js'
import { readPcap } from './read-pcap.js'

const dirty = (length: number): { bytes: Uint8Array; view: DataView } => {
  const bytes = new Uint8Array(length).fill(0xa5)
  return { bytes, view: new DataView(bytes.buffer) }
}

t.test('file header', async t => {
  const { bytes, view } = dirty(26)
  t.equal(putFileHeader(view, 1, 128), fileHeaderLength)
  t.equal(
    Buffer.from(bytes).toString('hex'),
    `a5${'d4c3b2a1'}${'02000400'}${'00000000'.repeat(2)}${'80000000'}${'65000000'}a5`,
  )
})

t.test('record header', async t => {
  const { bytes, view } = dirty(18)
  t.equal(putRecordHeader(view, 1, 2_000.75, 128, 65_535), recordHeaderLength)
  t.equal(Buffer.from(bytes).toString('hex'), `a5${'02000000'}${'ee020000'}${'80000000'}${'ffff0000'}a5`)
  putRecordHeader(view, 1, 1_999.9999, 1, 1)
  t.same([view.getUint32(1, true), view.getUint32(5, true)], [2, 0], 'rounding carries into the seconds')
})

t.test('what is written can be read', async t => {
  const file = join(t.testdir(), 'out.pcap')
  const bytes = Uint8Array.from({ length: 4_096 }, (_, i) => i * 7)
  const packet = fc.record({
    timeMs: fc.integer({ min: 0, max: 2 ** 41 }),
    at: fc.integer({ min: 0, max: 1_000 }),
    available: fc.integer({ min: 0, max: 1_000 }),
    more: fc.integer({ min: 0, max: 64_000 }),
  })
  fc.assert(
    fc.property(
      fc.array(packet, { maxLength: 3_000, size: 'max' }),
      fc.integer({ min: 1, max: 900 }),
      (packets, snapLength) => {
        const writer = new PcapWriter(file, snapLength)
        for (const { timeMs, at, available, more } of packets)
          writer.add(timeMs, bytes, at, available, available + more)
        writer.close()
        const read = readPcap(readFileSync(file))
        t.equal(writer.packets, packets.length)
        t.equal(read.snapLength, snapLength)
        t.equal(read.linkType, 101)
        t.equal(read.packets.length, packets.length)
        for (const [i, { timeMs, at, available, more }] of packets.entries()) {
          const kept = Math.min(available, snapLength)
          const { bytes: got, length, timeMs: time } = read.packets[i]
          if (
            Buffer.compare(got, bytes.subarray(at, at + kept)) === 0 &&
            length === available + more &&
            time === timeMs
          )
            continue
          t.fail(`packet ${i} differs`)
        }
      },
    ),
    { numRuns: 20 },
  )
})

t.test('a path that cannot be written', async t => {
  t.throws(() => new PcapWriter(join(t.testdir(), 'nowhere', 'x'), 128), { code: 'ENOENT' })
})
