import t from 'tap'
import type { Socket } from '../../src/index.js'
import { native } from '../../src/native.js'
import { difference, pattern, text } from '../support/datagrams.js'
import { ACK, SYN } from '../support/packets.js'
import { openRaw, RawFlow, type RawPeer, type Segment } from '../support/raw-peer.js'
import { connectPair, drops, linkName, links, lost, openStacks, take } from '../support/stacks.js'
import { until } from '../support/until.js'

/** Opens a connection to port 80 whose server begins less than `within` bytes before 2^32: the client may choose among its ports. */
const connectNearWrap = async (peer: RawPeer, within: number): Promise<RawFlow> => {
  for (let first = 1024; ; first = first === 65_520 ? 1024 : first + 16) {
    for (let i = 0; i < 16; i++) peer.send({ sourcePort: first + i, destinationPort: 80, flags: SYN })
    let found: Segment | undefined
    for (let i = 0; i < 16; i++) {
      const synAck = await peer.next('SYN+ACK')
      if (2 ** 32 - synAck.seq < within) found = synAck
    }
    if (found === undefined) continue
    const tuple = { family: 4, queue: 0, sourcePort: found.destinationPort, destinationPort: 80 } as const
    const flow = new RawFlow(peer, tuple, 1, (found.seq + 1) >>> 0)
    flow.send({})
    return flow
  }
}

for (const link of links) {
  t.test(`a peer’s numbers pass 2^32: ${linkName(link)}`, async t => {
    for (const [family, isn] of [
      [4, 0xfffffff0],
      [6, 0xffffff00],
      [4, 0xfffffffe],
    ] as const) {
      const { stack, peer } = await openRaw(t, link)
      const address = family === 4 ? '192.168.201.2' : 'fcc9::2'
      const [socket, flow] = await Promise.all([stack.connect(address, 80), peer.accept(isn)])
      const sent: Uint8Array[] = []
      for (let i = 0; i < 60; i++) {
        sent.push(pattern(1 + (i % 9), i))
        flow.data(sent[i])
      }
      t.equal(difference(await take(socket, 60), sent), undefined)
      flow.send({ seq: isn, payload: Buffer.from('repeated from before') })
      t.equal(text(await socket.recv()), 'repeated from before')
      await until(() => {
        socket.send(Buffer.from('x'))
        return peer.poll()?.ack === flow.seq
      }, 'the ack follows')
      t.same(drops(stack), {})
    }
  })
}

t.test('a super-packet that lies across 2^32', async t => {
  const { stack, peer } = await openRaw(t)
  const [socket, flow] = await Promise.all([stack.connect('192.168.201.2', 80), peer.accept(2 ** 32 - 10_000)])
  const bytes = pattern(46 * 1400, 1)
  flow.data(bytes, { gsoSize: 1400 })
  flow.data(bytes, { gsoSize: 1400 })
  t.equal(Buffer.compare(Buffer.concat(await take(socket, 92)), Buffer.concat([bytes, bytes])), 0)
  t.same(drops(stack), {})
})

for (const offload of [true, false]) {
  t.test(`our own numbers pass 2^32: ${linkName({ offload })}`, async t => {
    const { stack, peer } = await openRaw(t, { offload })
    const listener = stack.listen(80)
    const flow = await connectNearWrap(peer, 2 ** 20)
    const socket = await listener.accept()
    let wrapped = 0
    for (let i = 0; wrapped < 20; i++) {
      const bytes = pattern(20 * 1400, i)
      socket.sendBatch(bytes, 1400)
      let got = 0
      while (got < bytes.length) {
        const s = await flow.next('data', segment => segment.payload.length > 0)
        if (s.seq !== flow.ack) return t.fail(`number ${s.seq} instead of ${flow.ack}`)
        if (Buffer.compare(s.payload, bytes.subarray(got, got + s.payload.length)) !== 0)
          return t.fail(`data at ${s.seq}`)
        got += s.payload.length
        flow.ack = (flow.ack + s.payload.length) >>> 0
      }
      if (flow.ack < 2 ** 31) wrapped++
      flow.data(`answer ${i}`)
      t.equal(text(await socket.recv()), `answer ${i}`, 'an ack across 2^32 is an ack of what was sent')
    }
    flow.send({ flags: ACK, ack: (flow.ack + 1) >>> 0 })
    await until(() => drops(stack).ackOfUnsentData === 1, 'one byte more was not')
  })
}

/** Sends 4 GiB as fast as `drain` takes it away. */
const sendFourGiB = async (socket: Socket, drain: () => Promise<void> | void): Promise<number> => {
  const bytes = new Uint8Array(46 * 1400)
  let sent = 0
  while (sent < 2 ** 32) {
    if (socket.sendBatch(bytes, 1400) === 46) sent += bytes.length
    else await new Promise(setImmediate)
    await drain()
  }
  return sent
}

t.test('4 GiB leave, and numbers go round', { timeout: 120_000 }, async t => {
  const { stack, peer } = await openRaw(t)
  const [socket, flow] = await Promise.all([stack.connect('192.168.201.2', 80), peer.accept()])
  const head = new Uint8Array(64)
  const sent = await sendFourGiB(socket, () => {
    while (native.read(peer.device.queues[0], head, 0, head.length) > 0) {
      // only the head is of interest, and not even that
    }
  })
  socket.send(Buffer.from('after'))
  const s = await flow.next('data')
  t.equal(s.seq, (1 + sent) >>> 0)
  t.equal(text(s.payload), 'after')
  flow.data('back', { ack: (s.seq + 5) >>> 0 })
  t.equal(text(await socket.recv()), 'back')
  t.equal(socket.stats().bytesOut, sent + 5, 'counters know more than 32 bits')
})

t.test('4 GiB from stack to stack', { timeout: 120_000 }, async t => {
  const stacks = await openStacks(t)
  const { client, server } = await connectPair(stacks)
  let seen = 0
  const reader = (async () => {
    for await (const batch of server.batches()) seen += batch.count
  })()
  const sent = await sendFourGiB(client, async () => {
    if (client.stats().datagramsOut - seen > 2000) await until(() => client.stats().datagramsOut === seen, 'the reader')
  })
  await until(() => client.stats().datagramsOut === seen, 'the reader')
  t.equal(seen, sent / 1400)
  server.send(Buffer.from('still here'))
  t.equal(text(await client.recv()), 'still here')
  await client.close()
  await reader
  t.same(await server.closed, { reason: 'reset' }, 'the RST had the right number')
  t.same(lost(stacks.b), {})
})
