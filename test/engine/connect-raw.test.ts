import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { ErrorCode } from '../../src/index.js'
import { text } from '../support/datagrams.js'
import { ACK, PSH, RST, SYN } from '../support/packets.js'
import { openRaw, type Segment } from '../support/raw-peer.js'
import { addresses, drops, linkName, links } from '../support/stacks.js'
import { until } from '../support/until.js'

/** The far end's address: the raw peer's. */
const peerAddress = addresses.b

for (const link of links) {
  for (const family of [4, 6] as const) {
    t.test(`the handshake on the wire: ${linkName(link)}, IPv${family}`, async t => {
      const { stack, peer } = await openRaw(t, link)
      const connecting = stack.connect(peerAddress[family], 4567)
      const syn = await peer.next('SYN')
      t.match(syn, { family, flags: SYN, seq: 0, ack: 0, options: '0103030e', gsoSize: 0, destinationPort: 4567 })
      t.equal(syn.payload.length, 0)
      const tuple = { family, queue: syn.queue, sourcePort: 4567, destinationPort: syn.sourcePort }
      peer.send({ ...tuple, flags: SYN | ACK, seq: 0xfedcba98, ack: 1 })
      const ack = await peer.next('final ACK')
      t.match(ack, { flags: ACK, seq: 1, ack: 0xfedcba99, options: '', queue: syn.queue })
      t.equal(ack.payload.length, 0)
      const socket = await connecting
      socket.send(Buffer.from('data'))
      t.match(await peer.next('data'), { flags: ACK, seq: 1, ack: 0xfedcba99, payload: Buffer.from('data') })
      peer.send({ ...tuple, flags: ACK | PSH, seq: 0xfedcba99, ack: 5, payload: Buffer.from('pushed') })
      t.equal(text(await socket.recv()), 'pushed', 'PSH does no harm')
      await socket.close()
      t.match(await peer.next('RST', s => s.flags !== ACK), { flags: RST, seq: 5, ack: 0 })
    })
  }
}

t.test('a stock server, whose SYN+ACK has the number 0, is asked for an ACK at once', async t => {
  const { stack, peer } = await openRaw(t)
  const [, flow] = await Promise.all([stack.connect(peerAddress[4], 4567), peer.accept(0)])
  t.match(await flow.next('probe', s => s.seq !== 1), { flags: ACK, seq: 0, ack: 1, payload: { length: 0 } })
  flow.send({ seq: 1, ack: 0 })
  t.same(await peer.during(50), [], 'its answer needs none')
})

t.test('a SYN each second until the timeout', async t => {
  const { stack, peer } = await openRaw(t)
  const began = performance.now()
  const connecting = stack.connect(peerAddress[4], 4567, { timeout: 2_500 })
  const failed = t.rejects(connecting, {
    code: ErrorCode.CONNECT_TIMEOUT,
    message: '192.168.201.2:4567 did not answer within 2500 ms.',
  })
  const seen: { segment: Segment; at: number }[] = []
  while (seen.filter(({ segment }) => segment.flags === SYN).length < 3) {
    seen.push({ segment: await peer.next('SYN'), at: performance.now() - began })
  }
  for (const [i, { segment, at }] of seen.entries()) {
    t.match(segment, { flags: SYN, seq: 0, ack: 0, options: '0103030e', sourcePort: seen[0].segment.sourcePort })
    t.ok(at > i * 1_000 - 50, `SYN ${i} came after ${at} ms`)
  }
  await failed
  t.equal(stack.stats().connections, 0)
  const rest = await peer.during(100)
  t.same(
    rest.filter(s => s.flags !== ACK).map(({ flags, seq, ack }) => ({ flags, seq, ack })),
    [{ flags: RST, seq: 1, ack: 0 }],
    'then it tells the peer that it gave up, and sends no more SYN',
  )
})

t.test('a SYN that was lost is repeated', async t => {
  const { stack, peer } = await openRaw(t)
  const connecting = stack.connect(peerAddress[6], 4567)
  const lost = await peer.next('SYN')
  const flow = await peer.accept(77)
  t.equal(flow.tuple.destinationPort, lost.sourcePort)
  const socket = await connecting
  socket.send(Buffer.from('x'))
  t.match(await flow.next('data', s => s.payload.length > 0), { ack: 78 })
})

for (const isn of [0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]) {
  t.test(`initial sequence number 0x${isn.toString(16)} of the peer`, async t => {
    const { stack, peer } = await openRaw(t)
    const [socket, flow] = await Promise.all([stack.connect(peerAddress[4], 4567), peer.accept(isn)])
    flow.data('one')
    flow.data('two')
    t.equal(text(await socket.recv()), 'one')
    t.equal(text(await socket.recv()), 'two')
    await sleep(260)
    socket.send(Buffer.from('x'))
    t.match(await flow.next('data', s => s.payload.length > 0), { seq: 1, ack: (isn + 7) >>> 0 })
  })
}

t.test('what a connection in state synSent does not take', async t => {
  const { stack, peer } = await openRaw(t)
  const connecting = stack.connect(peerAddress[4], 4567)
  const syn = await peer.next('SYN')
  const tuple = { sourcePort: 4567, destinationPort: syn.sourcePort }
  for (const stray of [
    { flags: SYN | ACK, seq: 5, ack: 2 },
    { flags: SYN | ACK, seq: 5, ack: 0 },
    { flags: SYN, seq: 5, ack: 0 },
    { flags: ACK, seq: 5, ack: 1 },
    { flags: ACK, seq: 5, ack: 1, payload: Buffer.from('early') },
    { flags: RST | ACK, seq: 0, ack: 99 },
  ]) {
    peer.send({ ...tuple, ...stray })
  }
  await until(() => drops(stack).strayHandshake === 6, 'six strays')
  peer.send({ ...tuple, flags: SYN | ACK, seq: 5, ack: 1 })
  const socket = await connecting
  t.match(await peer.next('final ACK'), { flags: ACK, seq: 1, ack: 6 })
  peer.send({ ...tuple, flags: ACK, seq: 6, ack: 1, payload: Buffer.from('right') })
  t.equal(text(await socket.recv()), 'right')
})

t.test('refusals', async t => {
  const { stack, peer } = await openRaw(t)
  for (const refusal of [
    { name: 'as every TCP sends it', flags: RST | ACK, seq: 0, ack: 1 },
    { name: 'stock: it forgets to count the SYN', flags: RST | ACK, seq: 0, ack: 0 },
    { name: 'RST alone', flags: RST, seq: 0, ack: 0 },
  ]) {
    const connecting = stack.connect(peerAddress[4], 4567)
    const refused = t.rejects(connecting, { code: ErrorCode.CONNECT_REFUSED }, refusal.name)
    const syn = await peer.next('SYN')
    peer.send({ sourcePort: 4567, destinationPort: syn.sourcePort, ...refusal })
    await refused
    t.same(await peer.during(30), [], 'a refusal is not answered')
  }
  t.equal(stack.stats().connections, 0)
})

t.test('a duplicate SYN+ACK is answered and changes nothing', async t => {
  const { stack, peer } = await openRaw(t)
  const [socket, flow] = await Promise.all([stack.connect(peerAddress[4], 4567), peer.accept(1000)])
  flow.data('hello')
  t.equal(text(await socket.recv()), 'hello')
  socket.send(Buffer.from('abc'))
  await flow.next('data', s => s.payload.length === 3)
  flow.send({ flags: SYN | ACK, seq: 1000, ack: 1 })
  t.match(await flow.next('ACK'), { flags: ACK, seq: 4, ack: 1006 })
  for (let i = 0; i < 10; i++) flow.send({ flags: SYN | ACK, seq: 1000, ack: 1 })
  t.same(await peer.during(100), [], 'at most one answer in half a second')
  flow.data('there')
  t.equal(text(await socket.recv()), 'there')
})

t.test('signals', async t => {
  const { stack, peer } = await openRaw(t)
  const aborted = { name: 'FakeTcpError', code: 'ABORT_ERR' }
  await t.rejects(stack.connect(peerAddress[4], 1, { signal: AbortSignal.abort(new Error('no')) }), {
    ...aborted,
    cause: { message: 'no' },
  })
  t.same(await peer.during(20), [], 'not even a SYN')

  const controller = new AbortController()
  const connecting = stack.connect(peerAddress[4], 1, { signal: controller.signal })
  const syn = await peer.next('SYN')
  const rejected = t.rejects(connecting, { ...aborted, cause: { message: 'enough' } })
  controller.abort(new Error('enough'))
  await rejected
  t.equal(stack.stats().connections, 0)
  t.match(await peer.next('RST', s => s.flags === RST), { seq: 1, destinationPort: 1 })
  peer.send({ sourcePort: 1, destinationPort: syn.sourcePort, flags: SYN | ACK, seq: 9, ack: 1 })
  t.match(await peer.next('answer'), { flags: RST | ACK, seq: 1, ack: 10 }, 'a late SYN+ACK meets a RST')

  const late = new AbortController()
  const [socket, flow] = await Promise.all([stack.connect(peerAddress[4], 1, { signal: late.signal }), peer.accept()])
  late.abort()
  flow.data('on')
  t.equal(text(await socket.recv()), 'on', 'a signal means nothing once connected')
})

t.test('closing the stack ends attempts', async t => {
  const { stack, peer } = await openRaw(t)
  const failed = t.rejects(stack.connect(peerAddress[4], 1), { code: ErrorCode.CLOSED })
  await peer.next('SYN')
  await stack.close()
  await failed
  await t.rejects(stack.connect(peerAddress[4], 1), { code: ErrorCode.CLOSED })
})
