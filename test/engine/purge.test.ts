import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Socket } from '../../src/index.js'
import { pattern, text } from '../support/datagrams.js'
import { ACK, RST, SYN } from '../support/packets.js'
import { openRaw, RawFlow } from '../support/raw-peer.js'
import { connectPair, drops, lost, openStacks, type Pair, take, takeAll } from '../support/stacks.js'
import { until } from '../support/until.js'

/** Sends numbered datagrams one way until told to stop, a few ahead of the reader at most; how many went through. */
const stream = (from: Socket, to: Socket) => {
  let sent = 0
  let seen = 0
  let running = true
  let wrong: string | undefined
  const size = 64
  const reader = (async () => {
    for await (const datagram of to) {
      const number = new DataView(datagram.buffer, datagram.byteOffset).getUint32(0)
      if (number !== seen || datagram.length !== size) wrong ??= `datagram ${number} instead of ${seen}`
      seen++
    }
  })()
  const writer = (async () => {
    const bytes = new Uint8Array(size)
    while (running) {
      if (sent - seen < 4) {
        new DataView(bytes.buffer).setUint32(0, sent++)
        from.send(bytes)
      }
      await new Promise(setImmediate)
    }
    await until(() => seen === sent, `${sent - seen} datagrams were lost`)
  })()
  return {
    stop: async () => {
      running = false
      await writer
      await from.close()
      await reader
      return { sent, wrong }
    },
  }
}

for (const closer of ['client', 'server'] as const) {
  t.test(`200 connections close at once, by the ${closer}`, async t => {
    const stacks = await openStacks(t, { queues: 2 })
    const listener = stacks.b.listen(1)
    const flows: Pair[] = []
    for (let i = 0; i < 6; i++) flows.push(await connectPair(stacks, 2 + i, i % 2 === 0 ? 4 : 6))
    const streams = flows.map(({ client, server }, i) => (i < 3 ? stream(client, server) : stream(server, client)))
    for (let round = 0; round < 5; round++) {
      const pairs: Pair[] = []
      for (let i = 0; i < 200; i++) pairs.push(await connectPair(stacks, 1, i % 2 === 0 ? 4 : 6, listener))
      const [near, far] = closer === 'client' ? (['client', 'server'] as const) : (['server', 'client'] as const)
      for (const pair of pairs) pair[near].send(pattern(20, 1))
      await until(() => pairs.every(pair => pair[far].stats().datagramsIn === 1), 'one datagram each')
      await Promise.all(pairs.map(pair => pair[near].close()))
      const ends = await Promise.all(pairs.map(pair => pair[far].closed))
      t.ok(
        ends.every(({ reason }) => reason === 'reset'),
        'the other ends all know',
      )
      const last = await Promise.all(pairs.map(pair => takeAll(pair[far])))
      t.ok(
        last.every(datagrams => datagrams.length === 1),
        'and kept what had come',
      )
      t.equal(stacks.a.stats().connections, flows.length)
      t.equal(stacks.b.stats().connections, flows.length)
    }
    for (const { stop } of streams) {
      const { sent, wrong } = await stop()
      t.ok(sent > 100, `${sent} datagrams on a flow that stayed`)
      t.equal(wrong, undefined)
    }
    t.same(lost(stacks.a), {})
    t.same(lost(stacks.b), {})
  })
}

t.test('a tuple used again at once', async t => {
  const { stack, peer } = await openRaw(t)
  const listener = stack.listen(80)
  const old = await peer.connect(80)
  const first = await listener.accept()
  old.data('old')
  await take(first, 1)
  old.data('last')
  old.send({ flags: RST })
  t.same(await first.closed, { reason: 'reset' })
  t.same((await takeAll(first)).map(text), ['last'])

  peer.send({ ...old.tuple, flags: SYN })
  const { seq } = await peer.next('SYN+ACK', s => s.flags === (SYN | ACK))
  const early = new RawFlow(peer, old.tuple, 1, (seq + 1) >>> 0)
  early.data('too early')
  t.match(await early.next('RST'), { flags: RST | ACK, seq: early.ack }, 'the tuple is in quarantine')
  old.data('late')
  t.match(await old.next('RST'), { flags: RST | ACK, seq: old.ack })
  t.equal(listener.pending, 0)
  t.equal(stack.stats().connections, 0)

  await sleep(2_050)
  const flow = await peer.connect(80)
  flow.data('new')
  const second = await listener.accept()
  flow.send({ flags: RST })
  t.same((await takeAll(second)).map(text), ['new'], 'the new connection has its own data only')
  t.same(first.stats(), { datagramsIn: 2, bytesIn: 7, datagramsOut: 0, bytesOut: 0, dropped: 0 })
})

t.test('a slot used again takes nothing of its last connection', async t => {
  const { stack, peer } = await openRaw(t, {}, { maxConnections: 1 })
  const listener = stack.listen(80)
  let old: RawFlow | undefined
  for (let round = 0; round < 5; round++) {
    const flow = await peer.connect(80, 40_000 + round)
    const socket = await listener.accept()
    old?.data('from the past')
    old?.send({ flags: RST })
    flow.data(`round ${round}`)
    t.equal(text(await socket.recv()), `round ${round}`)
    await socket.close()
    t.throws(() => socket.send(pattern(1, 1)))
    await sleep(110)
    old = flow
  }
  t.match(drops(stack), { openRefused: 4 })
})

t.test('what a connection leaves in the ring', async t => {
  const { stack, peer } = await openRaw(t)
  const listener = stack.listen(80)
  const { traffic } = stack.stats().total
  t.equal(traffic.datagramsIn, 0)
  let arrived = 0
  /** Ten datagrams, read by the worker while this thread is too busy to take them out of the ring. */
  const fill = (flow: RawFlow) => {
    for (let i = 0; i < 10; i++) flow.data(pattern(100, i))
    arrived += 10
    while (stack.stats().total.traffic.datagramsIn < arrived) {
      // busy
    }
  }
  const mine = await peer.connect(80, 1000)
  const closing = await listener.accept()
  await sleep(20)
  fill(mine)
  await closing.close()
  t.equal(await closing.recv(), undefined)
  await until(() => drops(stack).flowGone === 10, 'who closes does not want the rest')

  const theirs = await peer.connect(80, 1001)
  const closed = await listener.accept()
  await sleep(20)
  fill(theirs)
  theirs.send({ flags: RST })
  t.same(await closed.closed, { reason: 'reset' })
  t.equal((await takeAll(closed)).length, 10, 'who is closed gets it')
})
