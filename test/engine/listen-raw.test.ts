import t from 'tap'
import type { Stack } from '../../src/index.js'
import { pattern, text } from '../support/datagrams.js'
import { ACK, PSH, RST, SYN } from '../support/packets.js'
import { openRaw, RawFlow, type RawPeer } from '../support/raw-peer.js'
import { drops, linkName, links, take } from '../support/stacks.js'
import { until } from '../support/until.js'

/** The SYN+ACK for a SYN from `sourcePort`. */
const greet = async (peer: RawPeer, destinationPort: number, sourcePort = 40_000) => {
  peer.send({ sourcePort, destinationPort, flags: SYN })
  return peer.next('SYN+ACK', s => s.destinationPort === sourcePort)
}
const tuple = { family: 4, queue: 0, sourcePort: 40_000, destinationPort: 80 } as const
const established = (stack: Stack) => until(() => stack.stats().connections === 1, 'one connection')

for (const link of links) {
  for (const family of [4, 6] as const) {
    t.test(`the handshake on the wire: ${linkName(link)}, IPv${family}`, async t => {
      const { stack, peer } = await openRaw(t, link)
      const listener = stack.listen(80)
      for (let queue = 0; queue < link.queues; queue++) {
        const address = { ...tuple, family, queue, sourcePort: 50_000 + queue }
        peer.send({ ...address, flags: SYN })
        const synAck = await peer.next('SYN+ACK')
        t.match(synAck, { family, queue, flags: SYN | ACK, ack: 1, options: '0103030e', gsoSize: 0 })
        t.equal(synAck.payload.length, 0)
        t.equal(stack.stats().connections, queue, 'a SYN takes no memory')
        const flow = new RawFlow(peer, address, 1, (synAck.seq + 1) >>> 0)
        flow.send({})
        const socket = await listener.accept()
        flow.data('request')
        t.equal(text(await socket.recv()), 'request')
        socket.send(Buffer.from('reply'))
        const reply = await flow.next('reply', s => s.payload.length > 0)
        t.match(reply, { queue, flags: ACK, seq: flow.ack, payload: Buffer.from('reply') })
      }
    })
  }
}

t.test('at most one answer to a SYN, and no state', async t => {
  const { stack, peer } = await openRaw(t)
  stack.listen(80)
  const numbers = new Set<number>()
  for (let i = 0; i < 500; i++) numbers.add((await greet(peer, 80, 10_000 + i)).seq)
  t.ok(numbers.size > 490, 'initial sequence numbers differ')
  t.same(await peer.during(50), [])
  t.equal(stack.stats().connections, 0)
  t.equal(stack.stats().total.traffic.synCookiesOut, 500)
  t.equal((await greet(peer, 80)).seq, (await greet(peer, 80)).seq, 'a repeated SYN gets the same answer')
})

t.test('a wrong number opens nothing', async t => {
  const { stack, peer } = await openRaw(t)
  stack.listen(80)
  const { seq } = await greet(peer, 80)
  for (const off of [2, -1, 2 ** 31]) {
    const ack = (seq + off) >>> 0
    peer.send({ ...tuple, flags: ACK, seq: 1, ack, payload: Buffer.from('four') })
    t.match(await peer.next('RST'), { flags: RST | ACK, seq: ack, ack: 5 })
  }
  peer.send({ ...tuple, sourcePort: 40_001, flags: ACK, seq: 1, ack: (seq + 1) >>> 0 })
  t.match(await peer.next('RST'), { flags: RST | ACK }, 'the number of another tuple')
  t.equal(stack.stats().connections, 0)
  t.equal(drops(stack).unknownTuple, 4)
})

t.test('what the last packet of the handshake may look like', async t => {
  const shapes = [
    { name: 'its number is the cookie itself: stock, after a duplicate SYN+ACK', back: 1, payload: '' },
    { name: 'it was lost, and data completes the handshake', back: 0, payload: 'first' },
    { name: 'data with PSH', back: 0, payload: 'first', flags: ACK | PSH },
    { name: 'both', back: 1, payload: 'first' },
    { name: 'the first datagram was lost too', back: 0, payload: 'second', seq: 900 },
  ]
  for (const { name, back, payload, flags = ACK, seq = 1 } of shapes) {
    await t.test(name, async t => {
      const { stack, peer } = await openRaw(t)
      const listener = stack.listen(80)
      const synAck = await greet(peer, 80)
      const flow = new RawFlow(peer, tuple, seq, (synAck.seq + 1 - back) >>> 0)
      flow.data(payload, { flags })
      const socket = await listener.accept()
      flow.data('next')
      const expected = payload === '' ? ['next'] : [payload, 'next']
      t.same((await take(socket, expected.length)).map(text), expected)
      socket.send(Buffer.from('x'))
      const { seq: own } = await flow.next('data', s => s.payload.length > 0)
      t.equal(own, (synAck.seq + 1) >>> 0)
      t.same(drops(stack), {})
    })
  }
})

t.test('a burst completes the handshake', async t => {
  const { stack, peer } = await openRaw(t)
  const listener = stack.listen(80)
  const { seq } = await greet(peer, 80)
  const flow = new RawFlow(peer, tuple, 1, (seq + 1) >>> 0)
  const bytes = pattern(10 * 1000 + 1, 1)
  flow.data(bytes, { gsoSize: 1000 })
  for (let i = 0; i < 20; i++) flow.data(`datagram ${i}`)
  const socket = await listener.accept()
  const got = await take(socket, 31)
  t.equal(Buffer.compare(Buffer.concat(got.slice(0, 11)), bytes), 0)
  t.same(
    got.slice(11).map(text),
    Array.from({ length: 20 }, (_, i) => `datagram ${i}`),
  )
  t.equal(stack.stats().connections, 1)
  t.same(drops(stack), {})
})

t.test('two queues see one handshake', async t => {
  const { stack, peer } = await openRaw(t, { queues: 2 })
  const listener = stack.listen(80)
  for (let i = 0; i < 20; i++) {
    const sourcePort = 41_000 + i
    const { seq } = await greet(peer, 80, sourcePort)
    const flow = new RawFlow(peer, { ...tuple, sourcePort }, 1, (seq + 1) >>> 0)
    flow.data('zero', { queue: 0 })
    flow.data('one', { queue: 1 })
    const socket = await listener.accept()
    t.same((await take(socket, 2)).map(text).sort(), ['one', 'zero'])
    for (let n = 0; n < 10; n++) {
      flow.data(`more ${n}`, { queue: n % 2 })
      t.equal(text(await socket.recv()), `more ${n}`, 'any queue can carry any flow')
    }
  }
  t.equal(listener.pending, 0)
  t.equal(stack.stats().connections, 20)
})

t.test('SYN with another number, or to another port', async t => {
  const { stack, peer } = await openRaw(t)
  stack.listen(80)
  peer.send({ ...tuple, flags: SYN, seq: 5 })
  t.match(await peer.next('RST'), { flags: RST | ACK, seq: 0, ack: 6, sourcePort: 80 })
  peer.send({ ...tuple, flags: SYN, seq: 0xffffffff, payload: Buffer.from('abc') })
  t.match(await peer.next('RST'), { flags: RST | ACK, seq: 0, ack: 3 })
  t.equal(drops(stack).synBadSeq, 2)
  peer.send({ ...tuple, destinationPort: 81, flags: SYN })
  t.match(await peer.next('RST'), { flags: RST | ACK, seq: 0, ack: 1, sourcePort: 81 })
  t.equal(stack.stats().connections, 0)
})

t.test('a close in the same burst as the handshake', async t => {
  const { stack, peer } = await openRaw(t)
  const listener = stack.listen(80)
  const { seq } = await greet(peer, 80)
  const flow = new RawFlow(peer, tuple, 1, (seq + 1) >>> 0)
  flow.data('hello')
  flow.send({ flags: RST })
  const socket = await listener.accept()
  t.same(await socket.closed, { reason: 'reset' })
  t.equal(text(await socket.recv()), 'hello')
  t.equal(await socket.recv(), undefined)
  t.equal(stack.stats().connections, 0)
})

t.test('a SYN on a connection that stands', async t => {
  const { stack, peer } = await openRaw(t)
  const listener = stack.listen(80)
  const flow = await peer.connect(80)
  const socket = await listener.accept()
  flow.data('hello')
  await take(socket, 1)
  flow.send({ flags: SYN, seq: 0, ack: 0 })
  t.match(
    await flow.next('challenge'),
    { flags: ACK, seq: (flow.ack - 1) >>> 0, ack: 6 },
    'is asked whether it still knows the connection (RFC 5961)',
  )
  flow.data('yes')
  t.equal(text(await socket.recv()), 'yes')
  await established(stack)
})

t.test('who asks while the stack closes hears nothing', async t => {
  const { stack, peer } = await openRaw(t)
  stack.listen(80)
  await greet(peer, 80)
  const closing = stack.close()
  for (let i = 0; i < 20; i++) peer.send({ sourcePort: 41_000 + i, destinationPort: 80, flags: SYN })
  const answers = await peer.during(50)
  await closing
  t.same(answers, [], 'not that nothing listens there: another program may be about to')
})
