import t from 'tap'
import { Held, HeldRoom } from '../../src/tunnel/held.js'

t.test('datagrams wait in order', async t => {
  const held = new Held(new HeldRoom())
  for (const byte of [1, 2, 3]) t.ok(held.add(Uint8Array.of(byte), 0))
  t.equal(held.size, 3)
  t.same(held.take(), [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)])
  t.equal(held.size, 0)
})

t.test('bounded in number and bytes', async t => {
  const many = new Held(new HeldRoom())
  let taken = 0
  while (many.add(new Uint8Array(1), 0)) taken++
  t.equal(taken, 256)
  const large = new Held(new HeldRoom())
  t.ok(large.add(new Uint8Array(256 * 1024), 0))
  t.notOk(large.add(new Uint8Array(1), 0))
  large.take()
  t.ok(large.add(new Uint8Array(1), 0), 'there is room again')
})

t.test('what is too old goes', async t => {
  const held = new Held(new HeldRoom())
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

t.test('all sources of a worker together are bounded too', t => {
  const room = new HeldRoom()
  const whole = room.left
  const sources = Array.from({ length: 400 }, () => new Held(room))
  const full = sources.findIndex(held => !held.add(new Uint8Array(256 * 1024), 1_000))
  t.equal(full, 127, '32 MiB, less what it costs besides')
  t.notOk(sources[0].add(new Uint8Array(1), 1_000), 'its own bound')
  t.equal(sources[1].expire(31_000), 1)
  t.ok(sources[full].add(new Uint8Array(256 * 1024), 31_000), 'there is room again')
  for (const held of sources) held.take()
  t.equal(room.left, whole)
  t.end()
})
