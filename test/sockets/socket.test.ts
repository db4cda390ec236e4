import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { ErrorCode, FakeTcpError } from '../../src/index.js'
import { pattern, text } from '../support/datagrams.js'
import { addresses, connectPair, lost, openStacks, take, takeAll } from '../support/stacks.js'
import { until } from '../support/until.js'

const sizeError = { code: ErrorCode.DATAGRAM_SIZE }
const closedError = { code: ErrorCode.CLOSED }

t.test('addresses, ports and the printed form', async t => {
  const stacks = await openStacks(t)
  const four = await connectPair(stacks, 4567)
  const { client, server } = four
  t.equal(client.localAddress, addresses.a[4])
  t.equal(client.remoteAddress, addresses.b[4])
  t.equal(client.remotePort, 4567)
  t.equal(server.localAddress, addresses.b[4])
  t.equal(server.localPort, 4567)
  t.equal(server.remoteAddress, addresses.a[4])
  t.equal(server.remotePort, client.localPort)
  t.equal(String(client), `fake TCP 192.168.200.2:${client.localPort} - 192.168.201.2:4567`)
  t.equal(`${server}`, `fake TCP 192.168.201.2:4567 - 192.168.200.2:${client.localPort}`)

  const six = await connectPair(stacks, 4567, 6, four.listener)
  t.equal(six.client.localAddress, addresses.a[6])
  t.equal(six.server.remoteAddress, addresses.a[6])
  t.equal(String(six.server), `fake TCP [fcc9::2]:4567 - [fcc8::2]:${six.client.localPort}`)
})

t.test('datagram sizes', async t => {
  const { client, server } = await connectPair(await openStacks(t, { mtu: 1280 }))
  t.equal(client.maxDatagram, 1240)
  t.throws(() => client.send(new Uint8Array(0)), sizeError)
  t.throws(() => client.send(new Uint8Array(1241)), sizeError)
  t.throws(() => client.send(new Uint8Array(1241)), /1 to 1240 bytes, not 1241/)
  for (const [length, segmentSize] of [
    [0, 100],
    [100, 0],
    [100, -1],
    [100, 1.5],
    [100, Number.NaN],
    [2000, 1241],
  ]) {
    t.throws(() => client.sendBatch(new Uint8Array(length), segmentSize), sizeError, `${length} by ${segmentSize}`)
  }
  t.throws(() => client.send(new Uint8Array(0)), FakeTcpError)

  client.send(pattern(1240, 1))
  client.send(pattern(1, 2))
  t.equal(client.sendBatch(pattern(5, 3), 1240), 1, 'a batch of one short datagram')
  t.same(
    (await take(server, 3)).map(datagram => datagram.length),
    [1240, 1, 5],
    'what was refused left no trace',
  )
})

t.test('an IPv6 connection has 20 bytes less', async t => {
  const { client } = await connectPair(await openStacks(t, { mtu: 1280 }), 4567, 6)
  t.equal(client.maxDatagram, 1220)
  t.throws(() => client.send(new Uint8Array(1221)), sizeError)
})

t.test('a send is copied, a flush writes at once', async t => {
  const stacks = await openStacks(t)
  const { client, server } = await connectPair(stacks)
  const before = stacks.a.stats().total.traffic.packetsOut
  const bytes = Buffer.from('first')
  client.send(bytes)
  bytes.fill('x')
  t.equal(stacks.a.stats().total.traffic.packetsOut, before, 'waits for the end of the turn')
  client.flush()
  t.equal(stacks.a.stats().total.traffic.packetsOut, before + 1)
  client.flush()
  t.equal(stacks.a.stats().total.traffic.packetsOut, before + 1, 'nothing to flush')
  client.send(Buffer.from('again'))
  client.send(Buffer.from('equal'))
  client.send(Buffer.from('less'))
  t.equal(stacks.a.stats().total.traffic.packetsOut, before + 2, 'a shorter datagram is the last of its super-packet')
  client.send(Buffer.from('turn'))
  await turn()
  await turn()
  t.equal(stacks.a.stats().total.traffic.packetsOut, before + 3)
  t.same((await take(server, 5)).map(text), ['first', 'again', 'equal', 'less', 'turn'])
})

t.test('a received datagram is the reader’s own', async t => {
  const { client, server } = await connectPair(await openStacks(t))
  client.send(Buffer.from('keep'))
  const [kept] = await take(server, 1)
  for (let i = 0; i < 100; i++) {
    client.send(pattern(4, i))
    await take(server, 1)
  }
  t.equal(text(kept), 'keep')
})

t.test('statistics of a socket', async t => {
  const stacks = await openStacks(t)
  const { client, server } = await connectPair(stacks)
  t.same(client.stats(), { datagramsIn: 0, bytesIn: 0, datagramsOut: 0, bytesOut: 0, dropped: 0 })
  client.sendBatch(pattern(1000, 1), 300)
  server.send(pattern(7, 1))
  await Promise.all([take(server, 4), take(client, 1)])
  const clientStats = { datagramsIn: 1, bytesIn: 7, datagramsOut: 4, bytesOut: 1000, dropped: 0 }
  const serverStats = { datagramsIn: 4, bytesIn: 1000, datagramsOut: 1, bytesOut: 7, dropped: 0 }
  t.same(client.stats(), clientStats)
  t.same(server.stats(), serverStats)
  await client.close()
  await server.closed
  await connectPair(stacks, 4568)
  t.same(client.stats(), clientStats, 'they stay after the close')
  t.same(server.stats(), serverStats)
})

t.test('why a connection ended', async t => {
  const stacks = await openStacks(t)
  const one = await connectPair(stacks, 1)
  const two = await connectPair(stacks, 2)
  await one.client.close()
  await one.client.close()
  t.same(await one.client.closed, { reason: 'local' })
  t.same(await one.server.closed, { reason: 'reset' })
  await one.server.close()
  t.same(await one.server.closed, { reason: 'reset' }, 'the first reason stays')
  t.throws(() => one.client.send(pattern(1, 1)), closedError)
  t.throws(() => one.client.send(pattern(1, 1)), /closed \(local\)/)
  t.throws(() => one.server.send(pattern(1, 1)), /closed \(reset\)/)
  t.throws(() => one.client.sendBatch(pattern(1, 1), 1), closedError)
  t.doesNotThrow(() => one.client.flush())

  await stacks.a.close()
  t.same(await two.client.closed, { reason: 'stack' })
  t.same(await two.server.closed, { reason: 'reset' })
  t.throws(() => two.client.send(pattern(1, 1)), /closed \(stack\)/)
})

t.test('what arrived before the end can still be read', async t => {
  const stacks = await openStacks(t, { queues: 2 })
  const { client, server, listener } = await connectPair(stacks)
  for (let i = 0; i < 20; i++) client.send(pattern(50 + i, i))
  await client.close()
  await server.closed
  const left = await takeAll(server)
  t.same(
    left.map(datagram => datagram.length),
    Array.from({ length: 20 }, (_, i) => 50 + i),
    'sent right before the close, in order',
  )
  t.equal(await server.recv(), undefined)
  t.equal(await server.recv(), undefined)
  for await (const _ of server.batches()) t.fail('nothing is left')

  const second = await connectPair(stacks, 4567, 4, listener)
  second.client.sendBatch(pattern(3000, 1), 1000)
  await until(() => second.server.stats().datagramsIn === 3, 'three datagrams')
  await sleep(20)
  await second.server.close()
  t.equal((await takeAll(second.server)).length, 3, 'closed by the reader itself')
  t.same(lost(stacks.b), {})
})

t.test('readers that wait are woken by the end', async t => {
  const { client, server } = await connectPair(await openStacks(t))
  const waiting = [server.recv(), server.recv(), takeAll(server)]
  await sleep(10)
  await client.close()
  t.same(await Promise.all(waiting), [undefined, undefined, []])
})

t.test('recv with a signal', async t => {
  const { client, server } = await connectPair(await openStacks(t))
  const aborted = { code: ErrorCode.ABORTED }
  await t.rejects(server.recv({ signal: AbortSignal.abort() }), aborted)
  const controller = new AbortController()
  const first = server.recv({ signal: controller.signal })
  const second = server.recv()
  await sleep(5)
  controller.abort(new Error('enough'))
  await t.rejects(first, { ...aborted, cause: { message: 'enough' } })
  client.send(Buffer.from('for the second'))
  t.equal(text(await second), 'for the second', 'an aborted reader takes nothing')
})

t.test('readers are served in the order they asked', async t => {
  const { client, server } = await connectPair(await openStacks(t))
  const readers = [server.recv(), server.recv(), server.recv()]
  for (const word of ['one', 'two', 'three']) client.send(Buffer.from(word))
  t.same((await Promise.all(readers)).map(text), ['one', 'two', 'three'])
})

t.test('dispose closes', async t => {
  const { client, server } = await connectPair(await openStacks(t))
  await client[Symbol.asyncDispose]()
  t.same(await server.closed, { reason: 'reset' })
})

t.test('what was sent right before a close arrives', async t => {
  const stacks = await openStacks(t)
  const listener = stacks.b.listen(1000)
  for (let i = 0; i < 200; i++) {
    const { client, server } = await connectPair(stacks, 1000, 4, listener)
    client.sendBatch(pattern(42_000, i), 1400)
    await client.close()
    const found = await takeAll(server)
    if (Buffer.compare(Buffer.concat(found), pattern(42_000, i)) !== 0) t.fail(`connection ${i}: ${found.length} of 30`)
  }
  t.same(lost(stacks.b), {})
})
