/** The client's half of the tunnel on real UDP sockets, without a stack: what becomes of a source while the server does not answer. */
import t, { type Test } from 'tap'
import { Message, native } from '../../src/native.js'
import { resolveNumbers } from '../../src/numbers.js'
import clientService from '../../src/tunnel/client-service.js'
import { FlowSet } from '../../src/tunnel/flow-set.js'
import { serviceNumbers } from '../../src/tunnel/options.js'
import type { ClientData } from '../../src/tunnel/service-data.js'
import type { UdpAddress } from '../../src/udp/socket.js'
import type { Service } from '../../src/workers/service.js'
import { FakeContext, FakeFlow } from '../support/service.js'
import { batchOf, closedPort, openPeer } from '../support/udp-socket.js'

const here: UdpAddress = { bytes: Uint8Array.of(127, 0, 0, 1), zone: '' }
const server = { port: 4_567, addresses: [{ bytes: Uint8Array.of(192, 0, 2, 1), zone: '' }] }

const words = new Int32Array(Message.words + 2)
const vec = native.arenaOpen(new Uint8Array(words.buffer))
const memory = native.arenaOpen(new Uint8Array(70_000))

const open = async (t: Test, options: Partial<ClientData> = {}, context = new FakeContext<ClientData>()) => {
  const localPort = closedPort()
  context.data = {
    remote: server,
    local: here,
    localPort,
    ...resolveNumbers(serviceNumbers, {}),
    udp: { gro: true, segment: true },
    maxFlows: 100,
    flowCounts: FlowSet.share(context.queues),
    ...options,
  } satisfies ClientData
  const service = (await clientService(context)) as Service
  t.teardown(() => service.stop())
  let slots = 0
  return {
    context,
    service,
    localPort,
    source() {
      const peer = openPeer(t, here.bytes)
      native.udpConnect(peer.fd, here.bytes, localPort, 0)
      return {
        ...peer,
        send(...sizes: number[]): void {
          for (const size of sizes) {
            words.fill(0)
            words[Message.at] = Message.words
            words[Message.length] = 1
            words[Message.words + 1] = size
            native.udpSend(peer.fd, 4, memory, vec, 0, 1)
          }
        },
        /** Datagrams that have come back. */
        received(): number {
          const records = new Int32Array(64 * Message.words)
          const arena = native.arenaOpen(new Uint8Array(records.buffer))
          const room = native.arenaOpen(new Uint8Array(64 * 2_000))
          return native.udpReceive(peer.fd, room, 0, 2_000, 64, arena, 0)
        },
      }
    },
    /** The server accepts the attempt with this token. */
    accept(token: number): FakeFlow {
      const flow = new FakeFlow(slots++, () => service, token)
      service.opened(flow)
      return flow
    },
    refuse(token: number, code = 'ERR_FAKE_TCP_CONNECT_REFUSED'): void {
      service.connectFailed?.(token, { code, message: '192.0.2.1:4567 refused the connection: nothing listens there.' })
    },
  }
}

const lengths = ({ sent }: FakeFlow) => sent.map(({ length }) => length)

t.test('first datagrams wait for the connection, later ones go at once, and answers come back', async t => {
  const { context, source, accept, service } = await open(t, { handshakePacket: new Uint8Array(7) })
  const from = source()
  from.send(1, 2)
  await context.look()
  from.send(3)
  await context.look()
  t.match(context.connects, [{ remotes: [Uint8Array.of(192, 0, 2, 1)], port: 4_567 }])
  t.equal(context.connects.length, 1, 'one attempt')
  const flow = accept(context.connects[0].token)
  t.same(lengths(flow), [7, 1, 2, 3])
  from.send(4)
  await context.look()
  t.same(lengths(flow), [7, 1, 2, 3, 4])
  service.received(flow, batchOf(3, 50))
  service.settle?.()
  t.equal(from.received(), 3)
})

t.test('a server that refuses at once: growing pauses, one line, first datagrams are held', async t => {
  const { context, source, refuse, accept } = await open(t)
  const from = source()
  const attempts: number[] = []
  for (let i = 0; i < 500; i++) {
    if (i % 5 === 0) from.send(10)
    if (i < 20) await context.look()
    for (const { token } of context.connects.splice(0)) {
      attempts.push(context.clock)
      refuse(token)
    }
    context.pass(20)
  }
  const pauses = attempts.slice(1).map((at, i) => at - attempts[i])
  t.same(pauses, [100, 200, 400, 800, 1_600, 3_200], '10 s: 7 attempts')
  t.match(context.news(), [
    /^info: new UDP client$/,
    /^warn: 192\.0\.2\.1:4567 refused the connection: nothing listens there\.$/,
  ])
  await context.look()
  context.pass(4_000)
  const flow = accept(context.connects[0].token)
  t.ok(flow.sent.length > 90 && flow.sent.length <= 100, `${flow.sent.length} of 100 datagrams waited`)
  t.match(context.news(), [/^info: The server answers\.$/])
})

t.test('what fails in another way is another line', async t => {
  const { context, source, refuse } = await open(t)
  source().send(1)
  await context.look()
  context.news()
  for (const code of ['CONNECT_REFUSED', 'CONNECT_REFUSED', 'CONNECT_TIMEOUT', 'CONNECT_TIMEOUT']) {
    refuse(context.connects[context.connects.length - 1].token, `ERR_FAKE_TCP_${code}`)
    context.pass(1_000)
  }
  const news = context.news()
  t.equal(news.length, 2)
})

t.test('a server that accepts and ends it at once counts as one that refuses', async t => {
  const { context, source, accept } = await open(t)
  const from = source()
  let attempts = 0
  for (let i = 0; i < 100; i++) {
    from.send(10)
    await context.look()
    for (const { token } of context.connects.splice(0)) {
      attempts++
      accept(token).close('reset')
    }
    context.pass(50)
  }
  t.ok(attempts >= 5 && attempts <= 7, `${attempts} attempts in 5 s`)
})

t.test('a connection that worked begins anew at once', async t => {
  const { context, source, accept, service } = await open(t)
  const from = source()
  from.send(1)
  await context.look()
  const first = accept(context.connects[0].token)
  service.received(first, batchOf(1, 5))
  service.settle?.()
  first.close('reset')
  from.send(2)
  await context.look()
  t.equal(context.connects.length, 2)
  t.same(lengths(accept(context.connects[1].token)), [2])
})

t.test('held datagrams are bounded, and expire', async t => {
  const { context, source } = await open(t)
  const from = source()
  for (let i = 0; i < 300; i++) {
    from.send(10)
    if (i % 50 === 49) await context.look()
  }
  await context.look()
  t.match(context.counts, { heldFull: 44 })
  context.pass(30_000)
  from.send(10)
  await context.look()
  t.match(context.counts, { heldFull: 44, heldExpired: 256 })
})

t.test('a source without a connection is forgotten after a while', async t => {
  const { context, source, refuse } = await open(t)
  const from = source()
  from.send(10)
  await context.look()
  for (let i = 0; i < 60; i++) {
    for (const { token } of context.connects.splice(0)) refuse(token)
    context.pass(1_000)
  }
  t.match(context.counts, { heldExpired: 1 })
  context.news()
  from.send(10)
  await context.look()
  t.same(context.news(), ['info: new UDP client'])
  t.equal(context.connects.length, 1)
})

t.test('a server whose name does not resolve yet', async t => {
  const { context, source } = await open(t, { remote: { port: 5, addresses: [] } })
  source().send(10)
  await context.look()
  context.pass(10_000)
  t.same(context.connects, [], 'no attempt')
  t.same(context.counts.heldExpired ?? 0, 0)
})

t.test('limits', async t => {
  const { context, source, accept } = await open(t, { maxFlows: 2 })
  const [first, second, third] = [source(), source(), source()]
  first.send(1)
  second.send(1)
  await context.look()
  const flows = context.connects.map(({ token }) => accept(token))
  third.send(1)
  await context.look()
  t.equal(context.connects.length, 2, 'no room')
  t.match(context.counts, { flowRefused: 1 })
  context.pass(6_000)
  second.send(1)
  await context.look()
  third.send(1)
  await context.look()
  t.same(
    flows.map(({ ended }) => ended),
    ['timeout', undefined],
  )
  t.equal(context.connects.length, 3)
})

t.test('a forged source per datagram does not fill the memory', async t => {
  const { context, source } = await open(t, { maxFlows: 50 })
  const sources = Array.from({ length: 60 }, () => source())
  for (const each of sources) each.send(1)
  await context.look()
  t.match(context.counts, { flowRefused: 10 })
  context.pass(6_000)
  for (const each of sources.slice(50)) each.send(1)
  await context.look()
  t.match(context.counts, { flowEvicted: 12, heldExpired: 12 }, 'a few at a time')
})

t.test('idle connections', async t => {
  const { context, source, accept } = await open(t)
  const [brief, long] = [source(), source()]
  brief.send(1)
  long.send(1, 1)
  await context.look()
  const flows = context.connects.map(({ token }) => accept(token))
  context.pass(16_000)
  t.same(
    flows.map(({ ended }) => ended),
    ['timeout', undefined],
  )
  context.pass(165_000)
  t.equal(flows[1].ended, 'timeout')
})

t.test('nothing comes back', async t => {
  const { context, source, accept } = await open(t)
  const from = source()
  for (let i = 0; i < 15; i++) {
    from.send(1)
    await context.look()
    for (const { token } of context.connects.splice(0)) accept(token)
    context.pass(1_000)
  }
  t.match(context.news().slice(1), [/^warn: Nothing has come back through the tunnel yet/])
})

t.test('a connection that nobody knows any more', async t => {
  const { accept } = await open(t)
  t.equal(accept(12_345).ended, 'local')
})

t.test('of a broadcast one worker takes its copy', async t => {
  for (const queue of [0, 1]) {
    const context = new FakeContext<ClientData>()
    context.queue = queue
    context.queues = 2
    const anywhere: UdpAddress = { bytes: new Uint8Array(4), zone: '' }
    const { localPort } = await open(t, { local: anywhere }, context)
    const { createSocket } = await import('node:dgram')
    const sender = createSocket('udp4')
    await new Promise<void>(resolve => sender.bind(0, resolve))
    sender.setBroadcast(true)
    await new Promise(resolve => sender.send('to all', localPort, '127.255.255.255', resolve))
    await context.look()
    t.equal(context.connects.length, 1 - queue)
    sender.close()
  }
})

t.test('an address to listen at that is not there yet', async t => {
  const { context } = await open(t, { local: { bytes: Uint8Array.of(192, 0, 2, 1), zone: '' } })
  context.pass(60_000)
  t.same([context.watched, context.news()], [[], []], 'who started it has said so')
})

t.test('an address to listen at that comes', async t => {
  const local = { bytes: Uint8Array.of(192, 0, 2, 1), zone: '' }
  const { context } = await open(t, { local })
  // As if the machine had got it.
  local.bytes.set([127, 0, 0, 1])
  context.pass(500)
  t.equal(context.watched.length, 1)
  t.match(context.news(), [/^info: UDP datagrams are taken at 127\.0\.0\.1:\d+ now\.$/])
})

t.test('a port that is taken meanwhile', async t => {
  const taken = openPeer(t, here.bytes)
  const local = { bytes: Uint8Array.of(192, 0, 2, 1), zone: '' }
  const { context } = await open(t, { local, localPort: taken.port })
  local.bytes.set([127, 0, 0, 1])
  context.pass(30_000)
  t.match(context.news(), [/^warn: UDP 127\.0\.0\.1:\d+ is in use by another program: .* It is tried again\.$/])
  taken.close()
  context.pass(5_000)
  t.equal(context.watched.length, 1)
  await t.rejects(open(t, { localPort: openPeer(t, here.bytes).port }), /is in use/, 'at the start it is an error')
})

t.test('an interface that is not there yet', async t => {
  const bytes = Uint8Array.from([0xfe, 0x80, ...Array(13).fill(0), 1])
  const { context } = await open(t, { local: { bytes, zone: 'nothing' } })
  context.pass(10_000)
  t.same([context.watched, context.news()], [[], []])
})
