import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { makeFile, PieceReader, PieceWriter, sha256 } from '../../src/demo/file.js'

t.test('the same file every time', async t => {
  const directory = t.testdir()
  const [a, b] = [join(directory, 'a'), join(directory, 'b')]
  await makeFile(a, 2_500_001)
  await makeFile(b, 2_500_001)
  const content = readFileSync(a)
  t.equal(content.length, 2_500_001)
  t.ok(content.equals(readFileSync(b)))
  t.ok(new Set(content.subarray(0, 10_000)).size === 256, 'it looks random')
  t.notOk(content.subarray(0, 1_000_000).equals(content.subarray(1_048_576, 2_048_576)), 'chunks differ')
  t.equal(await sha256(a), createHash('sha256').update(content).digest('hex'))
  await t.rejects(makeFile(a, 1), { code: 'EEXIST' }, 'nothing is overwritten')
})

t.test('pieces in any order', async t => {
  const directory = t.testdir()
  const [source, copy] = [join(directory, 'source'), join(directory, 'copy')]
  const content = Buffer.alloc(3_000_000, 'a piece of text, 0123456789')
  writeFileSync(source, content)
  const pieces = fc.array(fc.record({ offset: fc.nat(2_999_999), length: fc.integer({ min: 1, max: 70_000 }) }))
  fc.assert(
    fc.property(pieces, fc.boolean(), (pieces, sorted) => {
      if (sorted) pieces.sort((a, b) => a.offset - b.offset)
      const reader = new PieceReader(source)
      const writer = new PieceWriter(copy)
      const expected = Buffer.alloc(content.length)
      let end = 0
      const room = new Uint8Array(70_010)
      for (const piece of pieces) {
        const { offset } = piece
        const length = Math.min(piece.length, content.length - offset)
        reader.copy(offset, length, room, 5)
        writer.write(offset, room, 5, length)
        content.copy(expected, offset, offset, offset + length)
        end = Math.max(end, offset + length)
      }
      reader.close()
      writer.close()
      t.ok(readFileSync(copy).equals(expected.subarray(0, end)))
    }),
    { numRuns: 40 },
  )
})

t.test('a file that became shorter', async t => {
  const file = join(t.testdir({ short: 'abc' }), 'short')
  const reader = new PieceReader(file)
  t.throws(() => reader.copy(1, 3, new Uint8Array(3), 0), /shorter/)
  reader.close()
})
