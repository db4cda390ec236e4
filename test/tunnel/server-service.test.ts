/** The server's half of the tunnel on real UDP sockets, without a stack: what its legs do when the way to the service changes. */
import t, { type Test } from 'tap'
import { Message, native } from '../../src/native.js'
import { resolveNumbers } from '../../src/numbers.js'
import { FlowSet } from '../../src/tunnel/flow-set.js'
import { serviceNumbers } from '../../src/tunnel/options.js'
import { planPorts } from '../../src/tunnel/port-plan.js'
import serverService from '../../src/tunnel/server-service.js'
import type { RemoteData, ServerData } from '../../src/tunnel/service-data.js'
import type { UdpAddress } from '../../src/udp/socket.js'
import type { Service } from '../../src/workers/service.js'
import { FakeContext, FakeFlow } from '../support/service.js'
import { batchOf, closedPort, openPeer } from '../support/udp-socket.js'

const four: UdpAddress = { bytes: Uint8Array.of(127, 0, 0, 1), zone: '' }
const six: UdpAddress = { bytes: Uint8Array.from({ length: 16 }, (_, i) => Number(i === 15)), zone: '' }

const open = async (t: Test, remote: RemoteData, options: Partial<ServerData> = {}) => {
  const context = new FakeContext<ServerData>()
  context.data = {
    remote,
    ports: planPorts(() => '32768 60999'),
    ...resolveNumbers(serviceNumbers, {}),
    udp: { gro: true, segment: true },
    maxFlows: 100,
    flowCounts: FlowSet.share(1),
    ...options,
  } satisfies ServerData
  const service = (await serverService(context)) as Service
  t.teardown(() => service.stop())
  let slots = 0
  return {
    context,
    service,
    begin(): FakeFlow {
      const flow = new FakeFlow(slots++, () => service)
      service.opened(flow)
      return flow
    },
    /** Datagrams of `size` bytes from the flow to the service. */
    send(flow: FakeFlow, datagrams = 1, size = 100): void {
      service.received(flow, batchOf(datagrams, size))
      service.settle?.()
    },
  }
}

const words = new Int32Array(64 * Message.words)
const vec = native.arenaOpen(new Uint8Array(words.buffer))
const room = new Uint8Array(64 * 65_536)
const memory = native.arenaOpen(room)

/** Datagrams that a peer has got, and their source: '127.0.0.1:61000'. */
const received = (fd: number) => {
  const messages: { source: string; length: number; record: Int32Array }[] = []
  for (let count = native.udpReceive(fd, memory, 0, 65_536, 64, vec, 0); count > 0; ) {
    for (let i = 0; i < count; i++) {
      const record = words.slice(i * Message.words, (i + 1) * Message.words)
      const address = new Uint8Array(record.buffer, 4 * Message.address, 4)
      messages.push({
        source: `${address.join('.')}:${record[Message.port]}`,
        length: record[Message.length],
        record,
      })
    }
    count = native.udpReceive(fd, memory, 0, 65_536, 64, vec, 0)
  }
  return messages
}

/** Answers the sender of a message with one datagram. */
const answer = (fd: number, family: 4 | 6, { record }: { record: Int32Array }): void => {
  const out = new Int32Array(Message.words + 2)
  out.set(record)
  out[Message.at] = Message.words
  out[Message.length] = 1
  out[Message.segmentSize] = 0
  out[Message.words + 1] = 10
  const arena = native.arenaOpen(new Uint8Array(out.buffer))
  native.udpSend(fd, family, memory, arena, 0, 1)
  native.arenaClose(arena)
}

t.test('datagrams there and back, from a port outside of the ephemeral range', async t => {
  const peer = openPeer(t, four.bytes)
  const { begin, send, context } = await open(t, { port: peer.port, addresses: [four] })
  const [first, second] = [begin(), begin()]
  send(first, 3)
  send(second)
  const messages = received(peer.fd)
  t.same(
    messages.map(({ length }) => length),
    [100, 100, 100, 100],
  )
  const sources = new Set(messages.map(({ source }) => source))
  t.equal(sources.size, 2, 'a port each')
  for (const source of sources) t.ok(Number(source.split(':')[1]) > 60_999, source)
  answer(peer.fd, 4, messages[0])
  answer(peer.fd, 4, messages[3])
  await context.look()
  t.same([first.sent.length, second.sent.length], [1, 1])
  first.close()
  t.equal(context.watched.length, 1)
})

t.test('a refused address leads to the next one', async t => {
  const peer = openPeer(t, four.bytes)
  const { begin, send, context } = await open(t, { port: peer.port, addresses: [six, four] })
  const flow = begin()
  send(flow)
  await context.look()
  send(flow)
  send(flow)
  const messages = received(peer.fd)
  t.equal(messages.length, 2, 'all but the one that was refused')
  answer(peer.fd, 4, messages[0])
  await context.look()
  t.equal(flow.sent.length, 1)
  send(begin())
  t.equal(received(peer.fd).length, 1, 'new flows go there at once')
  t.notMatch(context.said.join('\n'), /warn/)
})

t.test('the report comes with the next send: that datagram goes to the next address', async t => {
  const peer = openPeer(t, four.bytes)
  const { begin, send } = await open(t, { port: peer.port, addresses: [six, four] })
  const flow = begin()
  send(flow)
  send(flow, 20, 1_000)
  t.equal(received(peer.fd).length, 20)
})

t.test('an address that cannot even be tried leads to the next one', async t => {
  const peer = openPeer(t, four.bytes)
  const all: UdpAddress = { bytes: Uint8Array.of(255, 255, 255, 255), zone: '' }
  const linkLocal: UdpAddress = { bytes: Uint8Array.from([0xfe, 0x80, ...Array(13).fill(0), 1]), zone: 'nothing' }
  for (const unusable of [all, linkLocal]) {
    const { begin, send, context } = await open(t, { port: peer.port, addresses: [unusable, four] })
    send(begin())
    t.equal(received(peer.fd).length, 1)
    t.notMatch(context.said.join('\n'), /warn/)
  }
})

t.test('nobody listens: one warning per leg, and a line when somebody does', async t => {
  const port = closedPort()
  const { begin, send, context } = await open(t, { port, addresses: [four] })
  const [first, second] = [begin(), begin()]
  context.news()
  for (let i = 0; i < 20; i++) {
    send(first)
    send(second)
    await context.look()
  }
  const warning = `warn: Nobody listens at 127.0.0.1:${port} (ECONNREFUSED): is the UDP service running?`
  t.same(context.news(), [warning, warning])
  t.ok((context.counts.udpReceiveFailed ?? 0) > 10)
  const peer = openPeer(t, four.bytes, port)
  send(first, 5)
  const messages = received(peer.fd)
  t.equal(messages.length, 5, 'not one is lost after that')
  answer(peer.fd, 4, messages[0])
  await context.look()
  t.same(context.news(), [`info: 127.0.0.1:${port} answers.`])
  t.ok(first.open)
})

t.test('of two addresses both refuse: it is said once, and whichever comes back is found', async t => {
  for (const back of [four, six]) {
    const port = closedPort()
    const { begin, send, context } = await open(t, { port, addresses: [six, four] })
    const flow = begin()
    const knock = async (times: number) => {
      for (let i = 0; i < times; i++) {
        send(flow)
        await context.look()
        context.pass(100)
      }
    }
    context.news()
    await knock(50)
    t.match(context.news(), [/^warn: Nobody listens at/])
    const peer = openPeer(t, back.bytes, port)
    await knock(45)
    const messages = received(peer.fd)
    t.ok(messages.length > 0, `found at ${back.bytes.length === 4 ? 'IPv4' : 'IPv6'} within 4 s`)
    answer(peer.fd, peer.family, messages[messages.length - 1])
    await context.look()
    t.match(context.news(), [/^info: .* answers\.$/])
  }
})

t.test('a service that never answers is not disturbed', async t => {
  const peer = openPeer(t, four.bytes)
  const { begin, send, context } = await open(t, { port: peer.port, addresses: [four, six] })
  const flow = begin()
  context.news()
  for (let second = 0; second < 120; second++) {
    send(flow)
    context.pass(1_000)
  }
  const messages = received(peer.fd)
  t.equal(messages.length, 120, 'everything comes')
  t.equal(new Set(messages.map(({ source }) => source)).size, 1, 'from one port')
  t.match(context.news(), [
    /^warn: 127\.0\.0\.1:\d+ has never answered: .* If it is one that never does, all is well\.$/,
  ])
})

t.test('a question without an answer is no news', async t => {
  const peer = openPeer(t, four.bytes)
  const { begin, send, context } = await open(t, { port: peer.port, addresses: [four] })
  context.news()
  send(begin())
  context.pass(14_000)
  t.same(context.news().slice(1), [])
})

t.test('limits: the idlest flow makes room, or the new one is refused', async t => {
  const peer = openPeer(t, four.bytes)
  const { begin, send, context } = await open(t, { port: peer.port, addresses: [four] }, { maxFlows: 2 })
  const [first, second] = [begin(), begin()]
  t.equal(begin().ended, 'local', 'refused')
  t.match(context.counts, { flowRefused: 1 })
  context.pass(6_000)
  send(second)
  const third = begin()
  t.same([first.ended, second.open, third.open], ['timeout', true, true])
  t.match(context.counts, { flowEvicted: 1 })
  t.equal(context.watched.length, 2)
})

t.test('idle flows end, brief ones sooner', async t => {
  const peer = openPeer(t, four.bytes)
  const { begin, send, context } = await open(t, { port: peer.port, addresses: [four] }, { idleMs: 60_000 })
  const [brief, long] = [begin(), begin()]
  send(brief)
  send(long, 2)
  context.pass(14_000)
  t.same([brief.open, long.open], [true, true])
  context.pass(2_000)
  t.same([brief.ended, long.open], ['timeout', true])
  context.pass(45_000)
  t.equal(long.ended, 'timeout')
})

t.test('no address yet', async t => {
  const { begin, send, context } = await open(t, { port: 5, addresses: [] })
  const flow = begin()
  send(flow, 3)
  t.ok(flow.open, 'the connection waits')
  t.match(context.counts, { udpUnresolved: 3 })
  t.equal(context.watched.length, 0)
})

t.test('no source port', async t => {
  const peer = openPeer(t, four.bytes)
  const none = { loopback: [], elsewhere: [] }
  const { begin, context } = await open(t, { port: peer.port, addresses: [four] }, { ports: none })
  context.news()
  t.equal(begin().ended, 'local')
  t.equal(begin().ended, 'local')
  t.match(context.counts, { serviceDropped: 2 })
  const text = 'error: No UDP source port is left for one more connection: make net.ipv4.ip_local_port_range smaller.'
  t.same(context.news(), [text, text], 'the log makes one line of many')
})

t.test("another program's ports are passed over", async t => {
  const peer = openPeer(t, four.bytes)
  const mine = openPeer(t, four.bytes)
  const free = closedPort()
  const ports = { loopback: [Uint16Array.of(mine.port, free)], elsewhere: [] }
  const { begin, send } = await open(t, { port: peer.port, addresses: [four] }, { ports })
  send(begin())
  t.match(received(peer.fd)[0].source, /^127\.0\.0\.[12]:\d+$/)
})

t.test('what is too large is said once, with the MTU that helps', async t => {
  const peer = openPeer(t, four.bytes)
  const { begin, send, context } = await open(t, { port: peer.port, addresses: [four] })
  const flow = begin()
  flow.maxDatagram = 5
  send(flow)
  context.news()
  const [message] = received(peer.fd)
  for (let i = 0; i < 3; i++) answer(peer.fd, 4, message)
  await context.look()
  t.equal(flow.sent.length, 0)
  t.match(context.counts, { oversizeDatagram: 3 })
  t.match(context.news(), [
    /^warn: A datagram of 10 bytes was dropped: this connection carries at most 5\..* WireGuard's to -27/,
  ])
})
