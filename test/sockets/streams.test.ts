import t from 'tap'
import { ErrorCode } from '../../src/index.js'
import { difference, pattern, text } from '../support/datagrams.js'
import { connectPair, openStacks, take, takeAll } from '../support/stacks.js'
import { until } from '../support/until.js'

t.test('recvInto fills the caller’s buffer', async t => {
  const { client, server } = await connectPair(await openStacks(t))
  const buffer = new Uint8Array(1460)
  t.equal(server.tryRecvInto(buffer), -1, 'nothing there')
  const waiting = server.recvInto(buffer)
  client.send(pattern(1460, 1))
  t.equal(await waiting, 1460)
  t.equal(Buffer.compare(buffer, pattern(1460, 1)), 0)

  client.sendBatch(pattern(950, 2), 300)
  await until(() => server.stats().datagramsIn === 5, 'four more')
  const sizes: number[] = []
  const got: Uint8Array[] = []
  for (let length = await server.recvInto(buffer); got.length < 4; length = server.tryRecvInto(buffer)) {
    sizes.push(length!)
    got.push(buffer.slice(0, length))
  }
  t.same(sizes, [300, 300, 300, 50])
  t.equal(Buffer.compare(Buffer.concat(got), pattern(950, 2)), 0)

  const size = { code: ErrorCode.DATAGRAM_SIZE, message: /has 5 bytes, the buffer only 4/ }
  client.send(Buffer.from('12345'))
  await t.rejects(server.recvInto(new Uint8Array(4)), size)
  t.throws(() => server.tryRecvInto(new Uint8Array(4)), size)
  t.equal(text(await server.recv()), '12345', 'it can still be read')

  await t.rejects(server.recvInto(buffer, { signal: AbortSignal.abort() }), { code: ErrorCode.ABORTED })
  client.send(Buffer.from('last'))
  await client.close()
  await server.closed
  t.equal(await server.recvInto(buffer), 4)
  t.equal(await server.recvInto(buffer), undefined)
  t.equal(server.tryRecvInto(buffer), -1)
})

t.test('all ways to read go together', async t => {
  const { client, server } = await connectPair(await openStacks(t))
  client.sendBatch(pattern(1000, 1), 100)
  await until(() => server.stats().datagramsIn === 10, 'ten datagrams')
  const buffer = new Uint8Array(100)
  const got = [(await server.recv())!]
  await server.recvInto(buffer)
  got.push(buffer.slice())
  for await (const datagram of server) {
    got.push(datagram)
    break
  }
  for await (const batch of server.batches()) {
    got.push(batch.bytes.slice())
    break
  }
  t.equal(Buffer.compare(Buffer.concat(got), pattern(1000, 1)), 0)
})

t.test('Web Streams', async t => {
  const { client, server } = await connectPair(await openStacks(t))
  t.equal(server.readable, server.readable)
  t.equal(client.writable, client.writable)
  const sent = Array.from({ length: 600 }, (_, i) => pattern(1 + (i % 50), i))
  const received: Uint8Array[] = []
  const reading = (async () => {
    for await (const datagram of server.readable) received.push(datagram)
  })()
  const writer = client.writable.getWriter()
  for (const [i, datagram] of sent.entries()) {
    await writer.write(datagram)
    if (i % 20 === 19) await until(() => received.length === i + 1, 'the reader')
  }
  await writer.close()
  await reading
  t.equal(difference(received, sent), undefined)
  t.same(await client.closed, { reason: 'local' }, 'the end of the stream closes')
  t.same(await server.closed, { reason: 'reset' })
})

t.test('a stream that ends early', async t => {
  const stacks = await openStacks(t)
  const first = await connectPair(stacks, 1)
  first.client.send(Buffer.from('one'))
  const reader = first.server.readable.getReader()
  t.equal(text((await reader.read()).value), 'one')
  await reader.cancel()
  t.same(await first.server.closed, { reason: 'local' })
  t.same(await first.client.closed, { reason: 'reset' })

  const second = await connectPair(stacks, 2)
  const writer = second.client.writable.getWriter()
  await writer.write(Buffer.from('two'))
  await writer.abort(new Error('enough'))
  t.same(await second.client.closed, { reason: 'local' })
  t.same((await takeAll(second.server)).map(text), ['two'])

  const third = await connectPair(stacks, 3)
  const failing = third.client.writable.getWriter()
  failing.closed.catch(() => {})
  await t.rejects(failing.write(new Uint8Array(0)), { code: ErrorCode.DATAGRAM_SIZE })
  third.server.send(Buffer.from('still open'))
  t.equal(text((await take(third.client, 1))[0]), 'still open')
})
