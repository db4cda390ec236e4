import { readdirSync } from 'node:fs'
import t from 'tap'
import { createVirtualLink, ErrorCode, FakeTcpError, Stack, type StackOptions } from '../../src/index.js'
import { pattern, text } from '../support/datagrams.js'
import { openRaw } from '../support/raw-peer.js'
import { addresses, connectPair, drops, openStacks, take } from '../support/stacks.js'
import { until } from '../support/until.js'

const invalid = { name: 'FakeTcpError', code: ErrorCode.INVALID_ARGUMENT }
const descriptors = () => readdirSync('/proc/self/fd').length

t.test('needs exactly one of tun and device', async t => {
  const [device, other] = createVirtualLink()
  t.teardown(() => {
    device.close()
    other.close()
  })
  const message = 'Stack.open needs either `tun` or `device`.'
  await t.rejects(Stack.open({}), { ...invalid, message })
  await t.rejects(Stack.open({ device, tun: {} }), { ...invalid, message })
  await t.rejects(Stack.open({ device, tun: {} }), FakeTcpError)
})

t.test('options out of range', async t => {
  const before = descriptors()
  const bad: [keyof StackOptions, unknown[]][] = [
    ['maxConnections', [0, -1, 1.5, Number.NaN, 4 * 1024 * 1024 + 1, '10']],
    ['receiveBytes', [0, 65_535, 1e9 + 0.5, 2 ** 31]],
    ['ringBytes', [0, 1024, 512 * 1024 - 1, 512 * 1024 + 0.5, 2 ** 30 + 1, 2 ** 31, Number.NaN]],
    ['consumers', [-1, 65]],
    ['stuckAfter', [-1, 1, 499, 2 ** 31]],
    ['workerHeap', [0, 15]],
    ['coalesceUs', [-1, 1_000_001, 0.5]],
    ['stackAddress', ['', 'localhost', '1.2.3', '::1', '1.2.3.4/24']],
    ['stackAddress6', ['', 'localhost', '1.2.3.4', '::ffff:1.2.3.4', 'fc00::/7', ':::']],
  ]
  for (const [name, values] of bad) {
    for (const value of values) {
      const [device, other] = createVirtualLink()
      await t.rejects(
        Stack.open({ device, [name]: value } as StackOptions),
        { ...invalid, message: new RegExp(`^\`${name}\` must be`) },
        `${name}: ${value}`,
      )
      device.close()
      other.close()
    }
  }
  t.equal(descriptors(), before, 'a stack that failed leaves nothing')
})

t.test('the smallest and odd sizes work', async t => {
  const options = { maxConnections: 1, receiveBytes: 65_536 }
  const { client, server } = await connectPair(
    await openStacks(
      t,
      { queues: 3, mtu: 65_535 },
      { a: { ...options, ringBytes: 512 * 1024 }, b: { ...options, ringBytes: 1_234_567 } },
    ),
    65_535,
  )
  t.equal(client.maxDatagram, 65_495)
  for (const size of [1, 1460, 65_494, 65_495]) {
    client.send(pattern(size, size))
    const [datagram] = await take(server, 1)
    t.equal(Buffer.compare(datagram, pattern(size, size)), 0, `${size} bytes`)
  }
})

t.test('addresses of one’s own choice', async t => {
  const stacks = await openStacks(
    t,
    {},
    {
      a: { stackAddress: '10.1.2.3', stackAddress6: '2001:DB8:0:0::1' },
      b: { stackAddress: '10.255.255.254' },
    },
  )
  t.equal(stacks.a.address, '10.1.2.3')
  t.equal(stacks.a.address6, '2001:db8::1')
  t.equal(stacks.b.address, '10.255.255.254')
  t.equal(stacks.b.address6, addresses.b[6], 'or what the device brings')
  const listener = stacks.b.listen(80)
  const [client, server] = await Promise.all([stacks.a.connect('10.255.255.254', 80), listener.accept()])
  client.send(Buffer.from('hello'))
  t.equal(text(await server.recv()), 'hello')
  t.equal(server.remoteAddress, '10.1.2.3')
  const [, six] = await Promise.all([stacks.a.connect(addresses.b[6], 80), listener.accept()])
  t.equal(six.remoteAddress, '2001:db8::1')
  await t.rejects(stacks.a.connect(addresses.b[4], 80, { timeout: 50 }), { code: ErrorCode.CONNECT_TIMEOUT })
  t.ok(drops(stacks.b).notForUs > 0)
})

t.test('statistics of a stack', async t => {
  for (const offload of [true, false]) {
    const stacks = await openStacks(t, { queues: 2, offload })
    const empty = stacks.a.stats()
    t.match(empty, { connections: 0, device: 'virtual-a', offload })
    t.equal(empty.workers.length, 2)
    t.same(Object.values(empty.total.traffic).filter(Boolean), [])
    t.same(drops(stacks.a), {})

    const pairs = [await connectPair(stacks, 1), await connectPair(stacks, 2, 6)]
    for (const { client, server } of pairs) {
      client.sendBatch(pattern(14_000, 1), 1400)
      server.send(pattern(5, 1))
      await Promise.all([take(server, 10), take(client, 1)])
    }
    const [a, b] = [stacks.a.stats(), stacks.b.stats()]
    t.equal(a.connections, 2)
    t.equal(b.device, 'virtual-b')
    t.match(a.total.traffic, { datagramsOut: 20, bytesOut: 28_000, datagramsIn: 2, bytesIn: 10 })
    t.match(b.total.traffic, { datagramsOut: 2, bytesOut: 10, datagramsIn: 20, bytesIn: 28_000, synCookiesOut: 2 })
    t.equal(a.total.traffic.superPacketsOut, offload ? 2 : 0)
    t.equal(b.total.traffic.superPacketsIn, offload ? 2 : 0)
    t.equal(b.total.traffic.packetsIn, a.total.traffic.packetsOut)
    t.equal(b.workers[0].traffic.datagramsIn, 10, 'connections take turns on the queues')
    t.equal(b.workers[1].traffic.datagramsIn, 10)
    t.equal(empty.total.traffic.datagramsOut, 0, 'what was read before does not change')
    t.ok(Object.keys(a.total.drops).length > 40, 'every reason has its counter, risen or not')
    t.same(JSON.parse(JSON.stringify(a)), a, 'plain')
  }
})

t.test('what is not for us is counted and left alone', async t => {
  const { stack, peer } = await openRaw(t, {}, { stackAddress: '10.0.0.1', stackAddress6: 'fc00::1' })
  stack.listen(80)
  for (const family of [4, 6] as const) peer.send({ family, sourcePort: 1, destinationPort: 80, flags: 2 })
  await until(() => drops(stack).notForUs === 2, 'both were counted')
  t.same(await peer.during(20), [])
})
