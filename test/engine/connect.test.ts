import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createVirtualLink, ErrorCode, type FakeTcpError, type Socket, Stack } from '../../src/index.js'
import { pattern, text } from '../support/datagrams.js'
import { addresses, connectPair, drops, openStacks, take } from '../support/stacks.js'
import { until } from '../support/until.js'

const invalid = { name: 'FakeTcpError', code: ErrorCode.INVALID_ARGUMENT }
/** An address that nobody on the link has. */
const nobody = '192.0.2.1'

for (const family of [4, 6] as const) {
  t.test(`refused: IPv${family}`, async t => {
    const { a, b } = await openStacks(t, { queues: 2 })
    await t.rejects(a.connect(addresses.b[family], 99), {
      code: ErrorCode.CONNECT_REFUSED,
      message: /99 refused the connection/,
    })
    const listener = b.listen(99)
    await a.connect(addresses.b[family], 99)
    await listener.close()
    await t.rejects(a.connect(addresses.b[family], 99), { code: ErrorCode.CONNECT_REFUSED }, 'a closed listener')
    await until(() => a.stats().connections === 0 && b.stats().connections === 0, 'nothing is left')
  })
}

t.test('arguments', async t => {
  const { a } = await openStacks(t)
  for (const address of [
    '',
    'localhost',
    '1.2.3',
    '0x7f000001',
    '300.1.1.1',
    '01.2.3.4',
    '::g',
    '[::1]',
    '1.2.3.4:5',
  ]) {
    await t.rejects(a.connect(address, 1), { ...invalid, message: /^address must be an IPv4 or IPv6 address/ }, address)
  }
  for (const port of [0, -1, 65_536, 1.5, Number.NaN, '80' as unknown as number]) {
    await t.rejects(a.connect(nobody, port), { ...invalid, message: /^port must be/ }, `port ${port}`)
  }
  for (const timeout of [0, -1, 2 ** 31, Number.POSITIVE_INFINITY]) {
    await t.rejects(
      a.connect(nobody, 1, { timeout }),
      { ...invalid, message: /^`timeout` must be/ },
      `timeout ${timeout}`,
    )
  }
  t.equal(a.stats().connections, 0)
})

t.test('a mapped address is IPv4', async t => {
  const stacks = await openStacks(t)
  const listener = stacks.b.listen(1)
  const [client] = await Promise.all([stacks.a.connect('::ffff:192.168.201.2', 1), listener.accept()])
  t.equal(client.remoteAddress, addresses.b[4])
})

t.test('a family without an address', async t => {
  const [deviceA, deviceB] = createVirtualLink()
  const { stackAddress6, ...only4 } = deviceA
  const { stackAddress, ...only6 } = deviceB
  const [a, b] = await Promise.all([Stack.open({ device: only4 }), Stack.open({ device: only6 })])
  t.teardown(() => Promise.all([a.close(), b.close()]))
  t.equal(a.address, stackAddress6 && addresses.a[4])
  t.equal(a.address6, undefined)
  t.equal(b.address, undefined)
  t.equal(b.address6, stackAddress && addresses.b[6])
  await t.rejects(a.connect('::1', 1), { code: ErrorCode.NO_ADDRESS, message: /no IPv6 address/ })
  await t.rejects(b.connect('127.0.0.1', 1), { code: ErrorCode.NO_ADDRESS, message: /no IPv4 address/ })
})

t.test('many at once, to several listeners', async t => {
  const { a, b } = await openStacks(t, { queues: 2 })
  const ports = [1000, 2000, 3000]
  const accepted: Socket[] = []
  for (const port of ports) {
    const listener = b.listen(port)
    ;(async () => {
      for await (const socket of listener) accepted.push(socket)
    })()
  }
  const clients = await Promise.all(
    Array.from({ length: 300 }, (_, i) => a.connect(addresses.b[i % 2 === 0 ? 4 : 6], ports[i % 3])),
  )
  await until(() => accepted.length === 300, '300 accepted')
  t.equal(a.stats().connections, 300)
  t.equal(b.stats().connections, 300)
  const local = clients.map(client => `${client.localAddress} ${client.remotePort} ${client.localPort}`)
  t.equal(new Set(local).size, 300, 'every tuple is its own')
  t.ok(
    clients.every(({ localPort }) => localPort >= 32_768 && localPort <= 60_999),
    'local ports are ephemeral ones',
  )
  const byPeer = new Map(
    accepted.map(socket => [`${socket.remoteAddress} ${socket.localPort} ${socket.remotePort}`, socket]),
  )
  for (const [i, client] of clients.entries()) {
    const server = byPeer.get(local[i])!
    client.send(Buffer.from(`question ${i}`))
    const [question] = await take(server, 1)
    server.send(Buffer.from(`answer to ${text(question)}`))
    const [answer] = await take(client, 1)
    if (text(answer) !== `answer to question ${i}`) t.fail(`connection ${i} got ${text(answer)}`)
  }
  t.equal(drops(b).backlogFull, undefined)
})

t.test('dead servers do not delay others', async t => {
  const stacks = await openStacks(t)
  const failures: FakeTcpError[] = []
  const dead = Array.from({ length: 100 }, () =>
    stacks.a.connect(nobody, 1, { timeout: 400 }).catch(error => failures.push(error)),
  )
  const { client, server } = await connectPair(stacks)
  t.equal(failures.length, 0)
  client.send(Buffer.from('alive'))
  t.equal(text(await server.recv()), 'alive')
  t.equal(failures.length, 0, 'all of them still try')
  t.equal(stacks.a.stats().connections, 101)
  await Promise.all(dead)
  t.same(new Set(failures.map(({ code }) => code)), new Set([ErrorCode.CONNECT_TIMEOUT]))
  t.equal(stacks.a.stats().connections, 1)
})

t.test('a table that is full', async t => {
  const stacks = await openStacks(t, {}, { a: { maxConnections: 4 }, b: { maxConnections: 6 } })
  const listener = stacks.b.listen(1)
  const clients: Socket[] = []
  for (let i = 0; i < 4; i++) clients.push((await connectPair(stacks, 1, 4, listener)).client)
  const full = { code: ErrorCode.TABLE_FULL, message: /All 4 connections are in use/ }
  await t.rejects(stacks.a.connect(addresses.b[4], 1), full)
  await t.rejects(stacks.a.connect(addresses.b[4], 1), full, 'a failure takes no slot')
  for (let round = 0; round < 3; round++) {
    await Promise.all(clients.splice(0).map(client => client.close()))
    await until(() => stacks.b.stats().connections === 0, 'the other end is empty too')
    await sleep(120)
    for (let i = 0; i < 4; i++) {
      const { client, server } = await connectPair(stacks, 1, 4, listener)
      client.send(pattern(10, i))
      t.same(await server.recv(), pattern(10, i), 'a slot used again works')
      t.same(server.stats(), { datagramsIn: 1, bytesIn: 10, datagramsOut: 0, bytesOut: 0, dropped: 0 })
      clients.push(client)
    }
  }
})

t.test('a full table refuses those who come', async t => {
  const stacks = await openStacks(t, {}, { b: { maxConnections: 2 } })
  const listener = stacks.b.listen(1)
  const pairs = [await connectPair(stacks, 1, 4, listener), await connectPair(stacks, 1, 4, listener)]
  const third = await stacks.a.connect(addresses.b[4], 1)
  t.same(await third.closed, { reason: 'reset' })
  t.equal(drops(stacks.b).openRefused, 1)
  pairs[0].client.send(Buffer.from('still here'))
  t.equal(text(await pairs[0].server.recv()), 'still here')
})

t.test('no port is left', { timeout: 60_000 }, async t => {
  const { a } = await openStacks(t)
  const count = 60_999 - 32_768 + 1
  const codes = new Set<string>()
  const attempts = Array.from({ length: count }, () => {
    const controller = new AbortController()
    const failed = a
      .connect(nobody, 1, { signal: controller.signal, timeout: 60_000 })
      .catch(({ code }) => codes.add(code))
    return { controller, failed }
  })
  t.equal(a.stats().connections, count)
  await t.rejects(a.connect(nobody, 1), { code: ErrorCode.PORTS_EXHAUSTED, message: /192\.0\.2\.1:1/ })
  await t.rejects(
    a.connect(nobody, 2, { timeout: 1 }),
    { code: ErrorCode.CONNECT_TIMEOUT },
    'another destination has all ports to itself',
  )
  for (const { controller } of attempts) controller.abort()
  await Promise.all(attempts.map(({ failed }) => failed))
  t.same(codes, new Set([ErrorCode.ABORTED]))
  t.equal(a.stats().connections, 0)
})
