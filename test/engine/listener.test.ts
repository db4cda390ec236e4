import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { ErrorCode, type Socket } from '../../src/index.js'
import { text } from '../support/datagrams.js'
import { addresses, connectPair, drops, openStacks, take } from '../support/stacks.js'
import { until } from '../support/until.js'

const closed = { name: 'FakeTcpError', code: ErrorCode.CLOSED }
const invalid = { name: 'FakeTcpError', code: ErrorCode.INVALID_ARGUMENT }

t.test('a port has one listener', async t => {
  const { a, b } = await openStacks(t)
  const listener = b.listen(80)
  t.equal(listener.port, 80)
  t.equal(listener.backlog, 128)
  t.throws(() => b.listen(80), { code: ErrorCode.PORT_TAKEN, message: /Port 80 .* is taken/ })
  const other = b.listen(81, { backlog: 7 })
  t.equal(other.backlog, 7)
  a.listen(80)
  await listener.close()
  const again = b.listen(80)
  await listener.close()
  t.throws(() => b.listen(80), { code: ErrorCode.PORT_TAKEN }, 'closing the old one again does not free the new one')
  const [client] = await Promise.all([a.connect(addresses.b[4], 80), again.accept()])
  t.equal(client.remotePort, 80)
})

t.test('arguments', async t => {
  const { b } = await openStacks(t)
  for (const port of [0, -1, 65_536, 1.5, Number.NaN]) t.throws(() => b.listen(port), invalid, `port ${port}`)
  for (const backlog of [0, -1, 65_536, 1.5]) t.throws(() => b.listen(1, { backlog }), invalid, `backlog ${backlog}`)
  t.doesNotThrow(() => b.listen(1, { backlog: 65_535 }), 'a failure does not take the port')
  t.doesNotThrow(() => b.listen(65_535))
  await b.close()
  t.throws(() => b.listen(2), closed)
})

t.test('connections are accepted in the order they came', async t => {
  const { a, b } = await openStacks(t)
  const listener = b.listen(1)
  const clients: Socket[] = []
  for (let i = 0; i < 5; i++) clients.push(await a.connect(addresses.b[4], 1))
  await until(() => listener.pending === 5, 'five connections wait')
  const waiting: Socket[] = []
  for await (const socket of listener) if (waiting.push(socket) === 5) break
  t.same(
    waiting.map(({ remotePort }) => remotePort),
    clients.map(({ localPort }) => localPort),
  )
  const accepts = [listener.accept(), listener.accept()]
  for (let i = 0; i < 2; i++) clients.push(await a.connect(addresses.b[4], 1))
  t.same(
    (await Promise.all(accepts)).map(({ remotePort }) => remotePort),
    clients.slice(5).map(({ localPort }) => localPort),
  )
})

t.test('data may come before the accept', async t => {
  const { a, b } = await openStacks(t)
  const listener = b.listen(1)
  const client = await a.connect(addresses.b[4], 1)
  client.send(Buffer.from('early'))
  await until(() => b.stats().total.traffic.datagramsIn === 1, 'it arrived')
  const server = await listener.accept()
  t.equal(text((await take(server, 1))[0]), 'early')
})

t.test('a full backlog turns connections away', async t => {
  const { a, b } = await openStacks(t)
  const listener = b.listen(1, { backlog: 2 })
  const clients: Socket[] = []
  for (let i = 0; i < 5; i++) clients.push(await a.connect(addresses.b[4], 1))
  await until(() => drops(b).backlogFull === 3, 'three were turned away')
  t.equal(listener.pending, 2)
  t.equal(b.stats().connections, 2)

  // To the client its connection stands; its next segment asks again.
  clients[4].send(Buffer.from('still full'))
  await until(() => drops(b).backlogFull === 4, 'and once more')
  const first = await listener.accept()
  t.equal(first.remotePort, clients[0].localPort)
  clients[4].send(Buffer.from('room now'))
  await until(() => listener.pending === 2, 'the last one got in')
  await listener.accept()
  const last = await listener.accept()
  t.equal(last.remotePort, clients[4].localPort)
  t.equal(text(await last.recv()), 'room now')
})

t.test('whoever waits in accept makes room', async t => {
  const { a, b } = await openStacks(t)
  const listener = b.listen(1, { backlog: 1 })
  const accepts = Promise.all([listener.accept(), listener.accept(), listener.accept()])
  await Promise.all([1, 2, 3].map(() => a.connect(addresses.b[4], 1)))
  t.equal((await accepts).length, 3)
  t.equal(drops(b).backlogFull, undefined)
})

t.test('accept with a signal', async t => {
  const { a, b } = await openStacks(t)
  const listener = b.listen(1)
  const aborted = { name: 'FakeTcpError', code: ErrorCode.ABORTED }
  await t.rejects(listener.accept({ signal: AbortSignal.abort() }), aborted)
  const controller = new AbortController()
  const first = listener.accept({ signal: controller.signal })
  const second = listener.accept()
  await sleep(5)
  controller.abort(new Error('enough'))
  await t.rejects(first, { ...aborted, cause: { message: 'enough' } })
  const client = await a.connect(addresses.b[4], 1)
  t.equal((await second).remotePort, client.localPort, 'an aborted accept takes no connection')
  await a.connect(addresses.b[4], 1)
  await until(() => listener.pending === 1, 'one waits')
  await t.rejects(listener.accept({ signal: AbortSignal.abort() }), aborted)
  t.equal(listener.pending, 1, 'not even one that is there')
})

t.test('closing a listener', async t => {
  const stacks = await openStacks(t)
  const { client, server, listener } = await connectPair(stacks, 1)
  const waiting = [await stacks.a.connect(addresses.b[4], 1), await stacks.a.connect(addresses.b[4], 1)]
  await until(() => listener.pending === 2, 'two wait')
  await listener.close()
  t.equal(listener.pending, 0)
  for (const socket of waiting) t.same(await socket.closed, { reason: 'reset' }, 'nobody accepted it')
  await t.rejects(listener.accept(), { ...closed, message: /listener on port 1 is closed/ })
  for await (const _ of listener) t.fail('no connection comes')
  client.send(Buffer.from('alive'))
  t.equal(text(await server.recv()), 'alive', 'accepted ones live on')
  t.equal(stacks.b.stats().connections, 1)
})

t.test('closing a listener wakes those who wait', async t => {
  const { b } = await openStacks(t)
  const listener = b.listen(1)
  const rejected = Promise.all([t.rejects(listener.accept(), closed), t.rejects(listener.accept(), closed)])
  const loop = (async () => {
    for await (const _ of listener) t.fail('no connection comes')
    return 'ended'
  })()
  await sleep(5)
  await listener[Symbol.asyncDispose]()
  await rejected
  t.equal(await loop, 'ended')
})

t.test('closing the stack closes its listeners', async t => {
  const { b } = await openStacks(t)
  const rejected = t.rejects(b.listen(1).accept(), closed)
  await b.close()
  await rejected
})

t.test('a connection that ended before its accept', async t => {
  const { a, b } = await openStacks(t)
  const listener = b.listen(1)
  const client = await a.connect(addresses.b[4], 1)
  client.send(Buffer.from('last words'))
  await client.close()
  await until(() => b.stats().connections === 0 && b.stats().total.traffic.datagramsIn === 1, 'it came and went')
  const server = await listener.accept()
  t.equal(text(await server.recv()), 'last words')
  t.equal(await server.recv(), undefined)
  t.same(await server.closed, { reason: 'reset' })
})

t.test('a close right behind the handshake is seen', async t => {
  const { a, b } = await openStacks(t, { queues: 2 })
  const listener = b.listen(1)
  for (let i = 0; i < 50; i++) {
    const [client, server] = await Promise.all([a.connect(addresses.b[4], 1), listener.accept()])
    if (i % 2 === 0) client.send(Buffer.from('x'))
    await client.close()
    t.same(await server.closed, { reason: 'reset' })
  }
  t.equal(b.stats().connections, 0)
})
