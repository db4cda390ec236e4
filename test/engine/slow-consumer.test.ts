import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { difference, pattern } from '../support/datagrams.js'
import { openRaw } from '../support/raw-peer.js'
import { connectPair, drops, openStacks, take, takeAll } from '../support/stacks.js'
import { until } from '../support/until.js'

const receiveBytes = 65_536

t.test('a socket that nobody reads is bounded, and slows nobody', async t => {
  const stacks = await openStacks(t, { queues: 2 }, { b: { receiveBytes } })
  const slow = await connectPair(stacks, 1)
  const live = await connectPair(stacks, 2, 6)
  const size = 1000
  // Of a super-packet as many as have room.
  const kept = Math.floor(receiveBytes / size)
  const sent: Uint8Array[] = []
  for (let round = 0; round < 100; round++) {
    for (let i = 0; i < 20; i++) {
      sent.push(pattern(size, sent.length))
      slow.client.send(sent[sent.length - 1])
    }
    live.client.send(pattern(700, round))
    const [datagram] = await take(live.server, 1)
    if (Buffer.compare(datagram, pattern(700, round)) !== 0) t.fail(`datagram ${round} of the other flow`)
    // The other queue's worker may be behind on a busy machine, and the link holds only so much.
    await until(() => slow.server.stats().datagramsIn === sent.length, 'arrived')
  }
  await until(() => slow.server.stats().dropped === 2000 - kept, 'what had no room is counted')
  t.equal(drops(stacks.b).receiveQueueFull, 2000 - kept)
  t.equal(live.server.stats().dropped, 0)

  const first = await take(slow.server, kept)
  t.equal(difference(first, sent.slice(0, kept)), undefined, 'the oldest are kept')
  slow.client.send(pattern(5, 1))
  t.same(await take(slow.server, 1), [pattern(5, 1)], 'and there is room again')
  await slow.client.close()
  t.same(await takeAll(slow.server), [])
})

t.test('the bound counts bytes, whatever the datagrams look like', async t => {
  for (const size of [1, 17, 1460]) {
    const stacks = await openStacks(t, {}, { b: { receiveBytes } })
    const { client, server } = await connectPair(stacks)
    const count = Math.floor(receiveBytes / size)
    for (let sent = 0; sent < count; ) {
      const some = Math.min(40, count - sent)
      if (client.sendBatch(pattern(some * size, sent), size) !== some) throw new Error('the link was full')
      sent += some
      await until(() => server.stats().datagramsIn === sent, 'arrived')
    }
    t.equal(server.stats().dropped, 0, `${count} datagrams of ${size} bytes fit`)
    client.send(pattern(1460, 0))
    await until(() => server.stats().dropped === 1, 'one more does not')
    t.equal((await take(server, count)).length, count)
    await stacks.a.close()
  }
})

t.test('a thread that does not come to its lane', async t => {
  const { stack, peer } = await openRaw(t, {}, { ringBytes: 512 * 1024 })
  const listener = stack.listen(80)
  const flow = await peer.connect(80)
  const socket = await listener.accept()
  await sleep(20)
  const size = 1400
  const arrivedBefore = () => stack.stats().total.traffic.datagramsIn
  const packets = 800
  // Keeps this thread busy: the lane fills, since its consumer is here.
  for (let i = 1; i <= packets; i++) {
    flow.data(pattern(size, i))
    while (arrivedBefore() < i) {
      // busy
    }
  }
  const { consumerRingFull } = drops(stack)
  const room = Math.floor((2 * 262_656) / size)
  const keptCount = packets - consumerRingFull
  t.ok(keptCount > room / 2 && keptCount <= room, `${keptCount} of ${packets} had room`)
  t.equal(socket.stats().dropped, consumerRingFull)
  const kept = await take(socket, keptCount)
  t.equal(
    difference(
      kept,
      Array.from(kept, (_, i) => pattern(size, i + 1)),
    ),
    undefined,
    'the oldest are kept',
  )
  flow.data('next')
  t.same(await take(socket, 1), [Buffer.from('next')])
})

t.test('a reader that is always behind', async t => {
  const stacks = await openStacks(t)
  const { client, server } = await connectPair(stacks)
  const datagram = (i: number) => pattern(1 + (i % 7), i)
  let read = 0
  for (let i = 0; i < 20_000; i++) {
    client.send(datagram(i))
    if (i % 16 !== 15) continue
    await until(() => server.stats().datagramsIn === i + 1, 'arrived')
    for (; read < i - 100; read++) {
      const got = await server.recv()
      if (Buffer.compare(got!, datagram(read)) !== 0) return t.fail(`datagram ${read}`)
    }
  }
  t.ok(read > 19_000)
  await client.close()
  t.equal((await takeAll(server)).length, 20_000 - read)
})
