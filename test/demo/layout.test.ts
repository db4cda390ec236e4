import fc from 'fast-check'
import t from 'tap'
import { Layout, largest, smallest } from '../../src/demo/layout.js'
import { headerLength } from '../../src/demo/protocol.js'

t.test('pieces follow each other and fill the file', async t => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000_000 }), fileBytes => {
      const layout = new Layout(fileBytes)
      let offset = 0
      for (let sequence = 0; sequence < layout.count; sequence++) {
        const length = layout.length(sequence)
        const size = headerLength + length
        const last = sequence === layout.count - 1
        if (layout.offset(sequence) !== offset || length < 1 || size > largest || (!last && size < smallest)) {
          t.fail(`datagram ${sequence} of a file of ${fileBytes} bytes`)
        }
        offset += length
      }
      t.equal(offset, fileBytes)
      t.equal(layout.offset(layout.count), fileBytes)
    }),
  )
})

t.test('the sizes are mixed, with many of the largest', async t => {
  const layout = new Layout(50_000_000)
  const sizes = Array.from({ length: layout.count }, (_, sequence) => headerLength + layout.length(sequence))
  t.equal(Math.max(...sizes), largest)
  t.equal(Math.min(...sizes.slice(0, -1)), smallest)
  t.ok(new Set(sizes).size > 30)
  t.ok(sizes.filter(size => size === largest).length > sizes.length / 3)
})

t.test('no file', async t => {
  t.equal(new Layout(0).count, 0)
})

t.test('large files keep their precision', async t => {
  const bytes = 16_384_000_001
  const layout = new Layout(bytes)
  t.equal(layout.offset(layout.count - 1) + layout.length(layout.count - 1), bytes)
})
