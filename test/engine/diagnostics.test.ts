/** Each diagnostics channel: what makes it happen is made, and what it publishes is looked at. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createVirtualLink, type DiagnosticsChannel, type DiagnosticsPayloads, Stack } from '../../src/index.js'
import { native } from '../../src/native.js'
import { Obedient } from '../support/obedient.js'
import { ACK, icmp4, ip4, packet4, virtioHeader } from '../support/packets.js'
import { openRaw, type RawFlow, type RawPeer } from '../support/raw-peer.js'
import { addresses, connectPair, openStacks, take } from '../support/stacks.js'
import { until } from '../support/until.js'

/** What is published on a channel, from now on and as long as the test runs. */
const listen = <N extends DiagnosticsChannel>(t: Test, name: N): DiagnosticsPayloads[N][] => {
  const published: DiagnosticsPayloads[N][] = []
  const listener = (payload: unknown) => published.push(payload as DiagnosticsPayloads[N])
  subscribe(name, listener)
  t.teardown(() => unsubscribe(name, listener))
  return published
}

const module = (name: string) => new URL(`./${name}.js`, import.meta.url)

t.test('connections that open and close', async t => {
  const opened = listen(t, 'fake-tcp:connection:opened')
  const closed = listen(t, 'fake-tcp:connection:closed')
  const { a, b } = await openStacks(t)
  for (const family of [4, 6] as const) {
    const { client, server, listener } = await connectPair({ a, b }, 4567, family)
    const [ofA, ofB] = [
      { device: 'virtual-a', localAddress: addresses.a[family], localPort: client.localPort },
      { device: 'virtual-b', localAddress: addresses.b[family], localPort: 4567 },
    ]
    const endsA = { ...ofA, remoteAddress: ofB.localAddress, remotePort: 4567 }
    const endsB = { ...ofB, remoteAddress: ofA.localAddress, remotePort: client.localPort }
    const { maxDatagram } = client
    const both = opened.splice(0).sort((one, other) => one.device.localeCompare(other.device))
    t.strictSame(both, [
      { ...endsA, direction: 'out', maxDatagram, service: false },
      { ...endsB, direction: 'in', maxDatagram, service: false },
    ])
    client.send(Buffer.from('hello'))
    await take(server, 1)
    await client.close()
    await server.closed
    const none = { datagramsIn: 0, bytesIn: 0, datagramsOut: 0, bytesOut: 0 }
    t.strictSame(closed.splice(0), [
      { ...endsA, reason: 'local', ...none, datagramsOut: 1, bytesOut: 5 },
      { ...endsB, reason: 'reset', ...none, datagramsIn: 1, bytesIn: 5 },
    ])
    await listener.close()
  }
})

t.test('a service’s connections, and a stack that closes', async t => {
  const opened = listen(t, 'fake-tcp:connection:opened')
  const closed = listen(t, 'fake-tcp:connection:closed')
  const { a, b } = await openStacks(t)
  await b.serve(7, module('echo-service'))
  const client = await a.connect(addresses.b[4], 7)
  await until(() => opened.length === 2, 'both ends')
  t.match(
    opened.find(({ device }) => device === 'virtual-b'),
    { direction: 'in', service: true, localPort: 7 },
  )
  await b.close()
  t.match(closed[0], { device: 'virtual-b', reason: 'stack' })
  await client.closed
  t.match(closed[1], { device: 'virtual-a', reason: 'reset' })
})

t.test('connections that this stack refuses', async t => {
  const refused = listen(t, 'fake-tcp:connection:refused')
  const { stack, peer } = await openRaw(t, {}, { maxConnections: 2 })
  const listener = stack.listen(80, { backlog: 1 })
  const next = async (what: string) => {
    await until(() => refused.length > 0, what)
    return refused.splice(0)
  }
  const inward = { device: 'virtual-a', direction: 'in', localAddress: addresses.a[4], localPort: 80 }
  await peer.connect(80, 40_000)
  await peer.connect(80, 40_001)
  t.match(await next('the backlog is full'), [{ ...inward, remotePort: 40_001, reason: 'backlog-full' }])
  const first = await listener.accept()
  await peer.connect(80, 40_002)
  const second = await listener.accept()
  await peer.connect(80, 40_003)
  t.match(await next('the table is full'), [{ ...inward, remotePort: 40_003, reason: 'table-full' }])
  await first.close()
  await peer.connect(80, 40_000)
  t.match(await next('a tuple in quarantine'), [{ ...inward, remotePort: 40_000, reason: 'quarantined' }])
  await second.close()
})

t.test('connections that others refuse', async t => {
  const refused = listen(t, 'fake-tcp:connection:refused')
  const { a, b } = await openStacks(t)
  // From now on it answers those who ask for another port.
  b.listen(1)
  await t.rejects(a.connect(addresses.b[4], 2))
  await t.rejects(a.connect('192.0.2.1', 2, { timeout: 50 }))
  const controller = new AbortController()
  const attempt = a.connect('192.0.2.1', 3, { signal: controller.signal })
  controller.abort()
  await t.rejects(attempt)
  const last = t.rejects(a.connect('192.0.2.1', 4))
  await a.close()
  await last
  const outward = { device: 'virtual-a', direction: 'out', localAddress: addresses.a[4] }
  t.match(refused, [
    { ...outward, remoteAddress: addresses.b[4], remotePort: 2, reason: 'refused' },
    { ...outward, remoteAddress: '192.0.2.1', remotePort: 2, reason: 'timeout' },
    { ...outward, remotePort: 3, reason: 'aborted' },
    { ...outward, remotePort: 4, reason: 'stack' },
  ])
})

t.test('a worker that dies', async t => {
  const replaced = listen(t, 'fake-tcp:worker:replaced')
  const { b } = await openStacks(t, { queues: 2 })
  const obedient = new Obedient()
  await b.serve(undefined, module('obedient-service'), { workerData: obedient.data })
  obedient.order(1, 'die')
  await until(() => replaced.length > 0, 'another worker')
  t.match(replaced, [{ device: 'virtual-b', queue: 1, error: { message: 'died by order' } }])
})

/** Sends so many packets that belong to no connection. */
const strays = async (peer: RawPeer, count: number): Promise<void> => {
  for (let sent = 0; sent < count; ) {
    if (peer.send({ sourcePort: 1, destinationPort: 2, flags: ACK, seq: sent }) > 0) sent++
    else await turn()
  }
}

t.test('a flood', async t => {
  const begun = listen(t, 'fake-tcp:flood:begun')
  const ended = listen(t, 'fake-tcp:flood:ended')
  const logged: string[] = []
  const logger = { warn: (_: unknown, text: string) => logged.push(text) } as never
  const { stack, peer } = await openRaw(t, {}, { logger })
  stack.listen(80)
  await strays(peer, 500)
  t.strictSame(begun, [], 'these are none')
  for (let i = 0; i < 100 && begun.length === 0; i++) await strays(peer, 2_000)
  t.strictSame(begun, [{ device: 'virtual-a', filtered: false }])
  await until(() => ended.length > 0, 'its end')
  t.match(ended, [{ device: 'virtual-a' }])
  t.ok(ended[0].lasted >= 2_900, `${ended[0].lasted} ms`)
  t.strictSame(logged, [
    'flood: far more packets come that belong to no connection than are answered',
    'the flood has ended',
  ])
  t.equal(begun.length, 1)
})

/** A router's word that the last packet of `flow` was too big. */
const tooBig = (peer: RawPeer, { tuple, seq }: RawFlow, quotedSeq: number, mtu: number): void => {
  const [ours, theirs] = [0xc0a8c802, 0xc0a8c902]
  const quote = packet4(
    { source: ours, destination: theirs },
    { sourcePort: tuple.destinationPort, destinationPort: tuple.sourcePort, seq: quotedSeq, ack: seq },
  )
  const packet = ip4({ source: 0x0a000009, destination: ours, protocol: 1 }, icmp4(quote, { mtu }))
  const bytes = Uint8Array.from([...virtioHeader(peer.device.virtioSize), ...packet])
  native.write(peer.device.queues[0], bytes, 0, bytes.length)
}

t.test('a path that carries only smaller packets', async t => {
  const lowered = listen(t, 'fake-tcp:path-mtu:lowered')
  const { stack, peer } = await openRaw(t)
  const listener = stack.listen(80)
  const flow = await peer.connect(80)
  const socket = await listener.accept()
  const complain = async () => {
    socket.sendBatch(new Uint8Array(1_400), 1_400)
    const { seq } = await flow.next('a datagram', s => s.payload.length === 1_400)
    tooBig(peer, flow, seq, 1_300)
  }
  await complain()
  await until(() => stack.stats().total.drops.pathMtuDoubted === 1, 'the first message')
  t.strictSame(lowered, [], 'is not believed alone')
  await complain()
  await until(() => lowered.length > 0, 'the news')
  t.match(lowered, [{ device: 'virtual-a', localPort: 80, remotePort: 40_000, maxDatagram: 1_260 }])
  t.equal(socket.maxDatagram, 1_260)
})

t.test('a device that is lost', async t => {
  const lost = listen(t, 'fake-tcp:device:lost')
  const [device, other] = createVirtualLink({ queues: 2 })
  const stack = await Stack.open({ device })
  other.close()
  await stack.closed
  t.match(lost, [{ device: 'virtual-a', error: { code: 'ERR_FAKE_TCP_DEVICE' } }])
  t.equal(lost.length, 1, 'once, whatever the number of queues')
})

t.test('a peer that is dead', async t => {
  const dead = listen(t, 'fake-tcp:peer:dead')
  const closed = listen(t, 'fake-tcp:connection:closed')
  const { stack, peer } = await openRaw(t, {}, { keepalive: { interval: 500, probes: 1 } })
  const listener = stack.listen(80)
  await peer.connect(80)
  const socket = await listener.accept()
  t.same(await socket.closed, { reason: 'timeout' })
  t.match(dead, [{ device: 'virtual-a', localPort: 80, remoteAddress: addresses.b[4], remotePort: 40_000 }])
  t.ok(dead[0].silence >= 750, `${dead[0].silence} ms`)
  t.match(closed, [{ reason: 'timeout' }])
})
