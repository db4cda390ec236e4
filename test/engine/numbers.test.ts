import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { pattern, text } from '../support/datagrams.js'
import { ACK } from '../support/packets.js'
import { openRaw } from '../support/raw-peer.js'
import { drops, linkName, links, take } from '../support/stacks.js'
import { until } from '../support/until.js'

/** An accepted connection, idle. */
const open = async (t: Test, link = {}) => {
  const { stack, peer } = await openRaw(t, link)
  const listener = stack.listen(80)
  const flow = await peer.connect(80)
  return { stack, peer, flow, socket: await listener.accept() }
}

t.test('a one-way flow is acknowledged when it pauses', async t => {
  const { stack, peer, flow, socket } = await open(t, { queues: 2 })
  flow.data('one')
  flow.data('two')
  await take(socket, 2)
  const ack = await flow.next('a bare ACK within 5 s', () => true, 5_000)
  t.match(ack, { flags: ACK, seq: flow.ack, ack: flow.seq })
  t.equal(ack.payload.length, 0)
  t.same(await peer.during(2_500), [], 'once')
  t.equal(stack.stats().total.traffic.acksOut, 1)
})

t.test('a one-way flow is acknowledged while it runs', async t => {
  const { peer, flow, socket } = await open(t)
  const acks: number[] = []
  const mebibytes = 34
  const bytes = mebibytes * 1024 * 1024
  for (let sent = 0; sent < bytes; sent += 64_000) {
    flow.data(pattern(64_000, sent), { gsoSize: 1280 })
    await take(socket, 50)
    for (let s = peer.poll(); s !== undefined; s = peer.poll()) acks.push(s.ack)
  }
  // 32 of the first MiB, then one of each at most, or of 16 MiB at least.
  t.ok(acks.length >= 2 && acks.length <= 32 + mebibytes, `${acks.length} ACKs for ${mebibytes} MiB`)
  t.same(
    acks,
    acks.toSorted((a, b) => a - b),
    'they move forward only',
  )
})

for (const link of links) {
  t.test(`the ack number in data moves in steps: ${linkName(link)}`, async t => {
    const { peer, flow, socket } = await open(t, link)
    await sleep(300)
    socket.send(Buffer.from('x'))
    const first = (await flow.next('data')).ack
    t.equal(first, 1)
    const seen = new Map<number, number>()
    for (let i = 0; i < 200; i++) {
      flow.data(pattern(1024, i))
      await socket.recv()
      socket.send(Buffer.from('answer'))
      await until(() => {
        const s = peer.poll()
        if (s !== undefined) seen.set(s.ack, i)
        return s !== undefined
      }, 'an answer')
    }
    const steps = [...seen.keys()]
    t.same(
      steps,
      steps.toSorted((a, b) => a - b),
      'forward only',
    )
    t.ok(steps.length <= 1 + 200 / 4, `${steps.length} different numbers in 200 answers`)
    for (let i = 1; i < steps.length; i++) {
      if (steps[i] - steps[i - 1] > 33 * 1024) t.fail(`a step of ${steps[i] - steps[i - 1]} bytes`)
    }
    await sleep(300)
    flow.data('y')
    await socket.recv()
    socket.send(Buffer.from('late'))
    const { ack } = await flow.next('data', s => s.payload.length === 4)
    t.equal(ack, flow.seq, 'after 250 ms it catches up')
  })
}

t.test('ids and numbers of what is sent', async t => {
  const { flow, socket } = await open(t)
  let seq = flow.ack
  let id: number | undefined
  for (const [size, count] of [
    [1400, 30],
    [1, 1],
    [700, 3],
    [1460, 1],
  ]) {
    socket.sendBatch(pattern(size * count, size), size)
    const s = await flow.next('data')
    t.equal(s.seq, seq)
    t.equal(s.id, id ?? s.id, 'one per segment: the kernel counts on inside a super-packet')
    id = (s.id + count) & 0xffff
    t.equal(s.payload.length, size * count)
    t.equal(s.gsoSize, count > 1 ? size : 0)
    t.equal(Buffer.compare(s.payload, pattern(size * count, size)), 0)
    seq = (seq + size * count) >>> 0
  }
})

t.test('without offload every datagram is a segment of its own', async t => {
  const { flow, socket } = await open(t, { offload: false })
  const bytes = pattern(10_001, 1)
  socket.sendBatch(bytes, 1000)
  let id: number | undefined
  for (let at = 0; at < bytes.length; at += 1000) {
    const s = await flow.next('data')
    t.equal(s.seq, (flow.ack + at) >>> 0)
    t.equal(s.id, id ?? s.id)
    id = (s.id + 1) & 0xffff
    t.equal(Buffer.compare(s.payload, bytes.subarray(at, at + 1000)), 0)
  }
})

t.test('numbers that lie', async t => {
  const { stack, flow, socket } = await open(t)
  const forged = Buffer.from('forged')
  flow.send({ ack: (flow.ack + 1) >>> 0, payload: forged })
  flow.send({ ack: (flow.ack + 2 ** 30) >>> 0, payload: forged })
  await until(() => drops(stack).ackOfUnsentData === 2, 'acks of what was never sent')
  flow.send({ seq: (flow.seq + 2 ** 27) >>> 0, payload: forged })
  flow.send({ seq: (flow.seq + 2 ** 31) >>> 0, payload: forged })
  flow.send({ seq: (flow.seq - 2 ** 27) >>> 0, payload: forged })
  await until(() => drops(stack).seqOutOfWindow === 3, 'numbers far away')
  flow.data('honest')
  t.equal(text(await socket.recv()), 'honest')
  await sleep(260)
  socket.send(Buffer.from('x'))
  t.equal((await flow.next('data', s => s.payload.length > 0)).ack, flow.seq, 'none of them moved the ack')
})

t.test('loss, reordering and repetition are the network’s business', async t => {
  const { stack, flow, socket } = await open(t)
  const at = (n: number) => ({ seq: flow.seq + n * 5, payload: Buffer.from(`data${n}`) })
  for (const n of [3, 1, 2, 2, 0, 9]) flow.send(at(n))
  t.same((await take(socket, 6)).map(text), ['data3', 'data1', 'data2', 'data2', 'data0', 'data9'])
  await sleep(260)
  socket.send(Buffer.from('x'))
  t.equal((await flow.next('data', s => s.payload.length > 0)).ack, flow.seq + 50, 'the ack is the highest')
  t.same(drops(stack), {})
})

t.test('a long gap is believed when two segments vouch for it', async t => {
  const { stack, flow, socket } = await open(t)
  flow.seq = (flow.seq + 2 ** 28) >>> 0
  flow.data('lost')
  flow.data('found')
  t.equal(text(await socket.recv()), 'found')
  flow.data('next')
  t.equal(text(await socket.recv()), 'next')
  t.same(drops(stack), { seqOutOfWindow: 1 })
})

t.test('a stock ack may go backwards', async t => {
  const { flow, socket } = await open(t)
  socket.send(pattern(100, 1))
  await flow.next('data')
  flow.data('new', { ack: (flow.ack + 100) >>> 0 })
  flow.data('old')
  t.same((await take(socket, 2)).map(text), ['new', 'old'])
})

for (const offload of [true, false]) {
  t.test(`a device that is full: ${linkName({ offload })}`, async t => {
    const { stack, peer, flow, socket } = await open(t, { offload })
    const size = 1000
    let given = 0
    let written = 0
    while (written === given) {
      given += 60
      written += socket.sendBatch(pattern(60 * size, given), size)
    }
    t.equal(drops(stack).writeFull, given - written, 'what was not written is counted')
    t.match(socket.stats(), { datagramsOut: written, bytesOut: written * size })
    let seen = 0
    for (const s of await peer.during(100)) seen += s.payload.length
    t.equal(seen, written * size)
    socket.send(Buffer.from('room again'))
    t.equal(text((await flow.next('data')).payload), 'room again')
  })
}
