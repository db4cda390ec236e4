import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { text } from '../support/datagrams.js'
import { ACK, FIN, RST, SYN } from '../support/packets.js'
import { openRaw } from '../support/raw-peer.js'
import { drops, type Family } from '../support/stacks.js'
import { until } from '../support/until.js'

/** A connection on which both sides have sent something. */
const open = async (t: Test, family: Family = 4) => {
  const { stack, peer } = await openRaw(t)
  const listener = stack.listen(80)
  const flow = await peer.connect(80, 40_000, family)
  const socket = await listener.accept()
  flow.data('hello')
  await socket.recv()
  socket.send(Buffer.from('hi'))
  await flow.next('data', s => s.payload.length === 2)
  flow.ack = (flow.ack + 2) >>> 0
  flow.send({})
  return { stack, peer, flow, socket }
}
/** More than the time in which a second challenge is not sent. */
const challengeRest = 520

for (const family of [4, 6] as const) {
  t.test(`a RST at the next number closes: IPv${family}`, async t => {
    const { stack, peer, flow, socket } = await open(t, family)
    flow.data('before')
    flow.send({ flags: RST, ack: 0 })
    t.same(await socket.closed, { reason: 'reset' })
    t.equal(text(await socket.recv()), 'before')
    t.equal(await socket.recv(), undefined)
    t.equal(stack.stats().connections, 0)
    t.same(await peer.during(30), [], 'nobody answers a RST')
  })
}

t.test('RST|ACK at the next number closes too: a stock peer that lost the connection', async t => {
  const { flow, socket } = await open(t)
  flow.send({ flags: RST | ACK })
  t.same(await socket.closed, { reason: 'reset' })
})

for (const off of [-1, 1, 1000, -1000, 2 ** 31, 2 ** 31 - 1]) {
  t.test(`a RST ${off} away is asked about`, async t => {
    const { stack, peer, flow, socket } = await open(t)
    await sleep(challengeRest)
    for (let i = 0; i < 20; i++) flow.send({ flags: RST, seq: (flow.seq + off) >>> 0, ack: 0 })
    t.match(
      await flow.next('challenge'),
      { flags: ACK, seq: (flow.ack - 1) >>> 0, ack: flow.seq },
      'a probe that a stock peer answers, with the number it should have used',
    )
    t.same(await peer.during(50), [], 'and only one')
    await until(() => drops(stack).resetNotExact === 20, 'all were counted')
    flow.data('alive')
    t.equal(text(await socket.recv()), 'alive')

    await sleep(challengeRest)
    flow.send({ flags: RST, seq: (flow.seq + off) >>> 0, ack: 0 })
    const { ack } = await flow.next('another challenge', s => s.seq === (flow.ack - 1) >>> 0)
    flow.send({ flags: RST | ACK, seq: ack })
    t.same(await socket.closed, { reason: 'reset' }, 'a peer that really is gone confirms')
  })
}

t.test('FIN and SYN|FIN close nothing', async t => {
  const { stack, flow, socket } = await open(t)
  flow.send({ flags: FIN | ACK })
  flow.send({ flags: FIN })
  flow.send({ flags: SYN | FIN })
  flow.send({ flags: RST | SYN })
  flow.send({ flags: 0 })
  flow.data('alive')
  t.equal(text(await socket.recv()), 'alive')
  t.match(drops(stack), { unexpectedFlags: 1, tcpFlags: 4 })
})

t.test('a segment without a connection', async t => {
  const { stack, peer } = await openRaw(t)
  stack.listen(80)
  const tuple = { sourcePort: 40_000, destinationPort: 80 }
  for (const [sent, answer] of [
    [
      { flags: ACK, seq: 7, ack: 1000 },
      { flags: RST | ACK, seq: 1000, ack: 7 },
    ],
    [
      { flags: ACK, seq: 7, ack: 1000, payload: Buffer.from('12345') },
      { flags: RST | ACK, seq: 1000, ack: 12 },
    ],
    [
      { flags: FIN | ACK, seq: 7, ack: 1000 },
      { flags: RST | ACK, seq: 1000, ack: 8 },
    ],
    [
      { flags: SYN | ACK, seq: 7, ack: 1000 },
      { flags: RST | ACK, seq: 1000, ack: 8 },
    ],
    [
      { flags: ACK, seq: 0xffffffff, ack: 1, payload: Buffer.from('ab') },
      { flags: RST | ACK, seq: 1, ack: 1 },
    ],
  ] as const) {
    peer.send({ ...tuple, ...sent })
    t.match(await peer.next('RST'), { ...answer, sourcePort: 80, destinationPort: 40_000 })
    peer.send({ ...tuple, ...sent, family: 6, destinationPort: 81 })
    t.match(await peer.next('RST'), { ...answer, family: 6, sourcePort: 81 })
  }
  t.equal(drops(stack).unknownTuple, 10)
  for (const flags of [RST, RST | ACK]) peer.send({ ...tuple, flags, seq: 7, ack: 1000 })
  t.same(await peer.during(50), [], 'a RST is not answered')
  t.equal(drops(stack).strayReset, 2)
})

t.test('a flood of strangers is not answered without limit', async t => {
  const { stack, peer } = await openRaw(t)
  // Before it listens somewhere a stack answers nobody.
  stack.listen(81)
  let answers = 0
  for (let i = 0; i < 3_000; i++) {
    peer.send({ sourcePort: 1 + i, destinationPort: 80, flags: ACK, seq: 1, ack: 1 })
    if (i % 50 === 49) {
      await until(() => drops(stack).unknownTuple === i + 1, 'it was read')
      while (peer.poll() !== undefined) answers++
    }
  }
  const { unknownTuple, replyRateLimited } = drops(stack)
  t.equal(unknownTuple, 3_000)
  t.equal(answers + replyRateLimited, 3_000)
  t.ok(replyRateLimited > 0, `${replyRateLimited} were not answered`)
})

t.test('a probe is answered', async t => {
  const { peer, flow } = await open(t)
  await sleep(challengeRest)
  for (const back of [1, 2, 3]) {
    flow.send({ seq: flow.seq - back })
    t.match(await flow.next('answer'), { flags: ACK, seq: flow.ack, ack: flow.seq })
    await sleep(challengeRest)
  }
  flow.send({})
  t.same(await peer.during(50), [], 'a bare ACK at the next number is not')
})

t.test('a close is told once, at the next number, behind an ACK', async t => {
  const { peer, flow, socket } = await open(t)
  flow.data('unanswered')
  await socket.recv()
  await socket.close()
  const [ack, rst, ...more] = await peer.during(50)
  t.match(ack, { flags: ACK, seq: flow.ack, ack: flow.seq }, 'so that conntrack takes the RST')
  t.match(rst, { flags: RST, seq: flow.ack, ack: 0 })
  t.same(more, [])
  flow.data('too late')
  t.match(await flow.next('RST'), { flags: RST | ACK, seq: flow.ack, ack: flow.seq })
})
