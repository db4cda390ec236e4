import t from 'tap'
import { ChunkPool, chunkBytes } from '../../src/sockets/chunk-pool.js'

t.test('a chunk that was given back is used again, empty', async t => {
  const pool = new ChunkPool()
  const first = pool.take()
  t.match(first, { end: 0, users: 0 })
  t.equal(first.bytes.length, chunkBytes)
  t.not(pool.take(), first, 'while it is in use another one is made')
  Object.assign(first, { end: 100, users: 1 })
  pool.give(first)
  const again = pool.take()
  t.equal(again, first)
  t.match(again, { end: 0, users: 0 })
})

t.test('only so many idle ones are kept', async t => {
  const pool = new ChunkPool()
  const chunks = Array.from({ length: 300 }, () => pool.take())
  for (const chunk of chunks) pool.give(chunk)
  const known = new Set(chunks)
  const kept = chunks.filter(() => known.has(pool.take()))
  t.equal(kept.length, 256)
})
