import t from 'tap'
import { Held } from '../../src/tunnel/held.js'

t.test('datagrams wait in order', async t => {
  const held = new Held()
  for (const byte of [1, 2, 3]) t.ok(held.add(Uint8Array.of(byte), 0))
  t.equal(held.size, 3)
  t.same(held.take(), [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)])
  t.equal(held.size, 0)
})

t.test('bounded in number and bytes', async t => {
  const many = new Held()
  let taken = 0
  while (many.add(new Uint8Array(1), 0)) taken++
  t.equal(taken, 256)
  const large = new Held()
  t.ok(large.add(new Uint8Array(256 * 1024), 0))
  t.notOk(large.add(new Uint8Array(1), 0))
  large.take()
  t.ok(large.add(new Uint8Array(1), 0), 'there is room again')
})

t.test('what is too old goes', async t => {
  const held = new Held()
  held.add(new Uint8Array(200 * 1024), 1_000)
  held.add(Uint8Array.of(2), 2_000)
  t.equal(held.expire(30_999), 0)
  t.equal(held.expire(31_000), 1)
  t.ok(held.add(new Uint8Array(200 * 1024), 31_000), 'and leaves its room')
  t.same(
    held.take().map(({ length }) => length),
    [1, 200 * 1024],
  )
})
