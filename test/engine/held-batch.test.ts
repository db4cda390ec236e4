import t from 'tap'
import type { DatagramBatch, Socket } from '../../src/index.js'
import { datagrams, difference, pattern } from '../support/datagrams.js'
import { connectPair, drops, openStacks, type Pair, take } from '../support/stacks.js'
import { until } from '../support/until.js'

const size = 1400
const atOnce = 40
/** Bytes of packets that fit a lane: the least there is, room for one loan, and the default. */
const lanes = [512 * 1024, 1_100_000, 4 * 1024 * 1024]

/** Sends `count` datagrams at once; what arrives must be these. */
const send = ({ client }: Pair, count: number, seed: number): Uint8Array => {
  const bytes = pattern(count * size, seed)
  if (client.sendBatch(bytes, size) !== count) throw new Error('the link was full')
  return bytes
}

/** Much more than a lane holds goes through a connection, each datagram checked. */
const flow = async (pair: Pair, ringBytes: number, look: (round: number) => void = () => {}): Promise<void> => {
  const rounds = Math.ceil((3 * ringBytes) / (atOnce * size))
  for (let round = 0; round < rounds; round++) {
    const sent = send(pair, atOnce, 1000 + round)
    if (Buffer.compare(Buffer.concat(await take(pair.server, atOnce)), sent) !== 0) throw new Error(`round ${round}`)
    look(round)
  }
}

/** A reader that got its first batch and does not come back. */
const hold = async (socket: Socket) => {
  const batches = socket.batches()
  const { value } = await batches.next()
  return { batches, batch: value as DatagramBatch }
}

const collect = async (batches: AsyncGenerator<DatagramBatch>, count: number): Promise<Uint8Array> => {
  const parts: Uint8Array[] = []
  for (let left = count; left > 0; ) {
    const { value } = await batches.next()
    parts.push(value!.bytes.slice())
    left -= value!.count
  }
  return Buffer.concat(parts)
}

for (const ringBytes of lanes) {
  for (const queues of [1, 2]) {
    const link = `a lane of ${ringBytes} bytes, ${queues} queue(s)`

    t.test(`a batch that is held for long: ${link}`, async t => {
      const stacks = await openStacks(t, { queues }, { b: { ringBytes } })
      const holding = await connectPair(stacks, 1)
      const pairs = [await connectPair(stacks, 2), await connectPair(stacks, 3, 6)]
      const sent = send(holding, 30, 1)
      const { batches, batch } = await hold(holding.server)
      t.match(batch, { segmentSize: size, count: 30 })
      for (const pair of pairs) {
        await flow(pair, ringBytes, round => {
          if (Buffer.compare(batch.bytes, sent) !== 0) throw new Error(`the batch changed in round ${round}`)
        })
      }
      t.equal(Buffer.compare(batch.bytes, sent), 0)

      const later = Buffer.concat([1, 2, 3].map(seed => send(holding, 30, seed)))
      await flow(pairs[0], ringBytes)
      t.equal(Buffer.compare(batch.bytes, sent), 0, 'nor when more comes for it')
      t.equal(Buffer.compare(await collect(batches, 90), later), 0)
      await batches.return()
      await flow(holding, ringBytes)
      t.same(drops(stacks.b), {}, 'nobody lost anything')
    })

    t.test(`many batches that are held for long: ${link}`, async t => {
      const stacks = await openStacks(t, { queues }, { b: { ringBytes } })
      const live = await connectPair(stacks, 1)
      const listener = stacks.b.listen(2)
      const readers: { pair: Pair; sent: Uint8Array; held: Awaited<ReturnType<typeof hold>> }[] = []
      for (let i = 0; i < 20; i++) {
        const pair = await connectPair(stacks, 2, 4, listener)
        const sent = send(pair, 30, i)
        readers.push({ pair, sent, held: await hold(pair.server) })
      }
      await flow(live, ringBytes)
      for (const [i, { pair, sent, held }] of readers.entries()) {
        t.equal(Buffer.compare(held.batch.bytes, sent), 0)
        // Half of them end here, half go on.
        if (i % 2 === 0) await held.batches.return()
        const next = send(pair, 30, 100 + i)
        const found = i % 2 === 0 ? Buffer.concat(await take(pair.server, 30)) : await collect(held.batches, 30)
        t.equal(Buffer.compare(found, next), 0)
      }
      await flow(live, ringBytes)
      t.same(drops(stacks.b), {})
    })

    t.test(`a socket that nobody reads: ${link}`, async t => {
      const stacks = await openStacks(t, { queues }, { b: { ringBytes } })
      const unread = await connectPair(stacks, 1)
      // With two queues, one of them comes by the same lane.
      const live = [await connectPair(stacks, 2), await connectPair(stacks, 3)]
      const sent: Uint8Array[] = []
      for (let round = 0; round < 50; round++) {
        sent.push(send(unread, 1 + (round % 30), round))
        // What comes later by the same lane comes after it: nothing piles up there.
        for (const pair of live) await flow(pair, round % 10 === 0 ? ringBytes / 5 : 1)
      }
      for (const pair of live) await flow(pair, ringBytes)
      const bytes = Buffer.concat(sent)
      const found = await take(unread.server, bytes.length / size)
      t.equal(difference(found, datagrams(bytes, size)), undefined)
      t.same(drops(stacks.b), {})
    })
  }
}

t.test('a batch that is held while its connection ends', async t => {
  const stacks = await openStacks(t, {}, { b: { ringBytes: 1_100_000 } })
  const holding = await connectPair(stacks, 1)
  const live = await connectPair(stacks, 2)
  const sent = send(holding, 30, 1)
  const { batches, batch } = await hold(holding.server)
  const last = send(holding, 30, 2)
  await until(() => holding.server.stats().datagramsIn === 60, 'all arrived')
  // What comes later by the same lane comes after it.
  await flow(live, 100_000)
  await holding.client.close()
  await holding.server.closed
  await flow(live, 1_100_000)
  t.equal(Buffer.compare(batch.bytes, sent), 0)
  t.equal(Buffer.compare(await collect(batches, 30), last), 0)
  t.strictSame(await batches.next(), { done: true, value: undefined })
})

t.test('a batch that is held while its stack is closed', async t => {
  const stacks = await openStacks(t)
  const pair = await connectPair(stacks)
  const live = await connectPair(stacks, 5)
  const sent = send(pair, 30, 1)
  const { batches, batch } = await hold(pair.server)
  const last = send(pair, 30, 2)
  await until(() => pair.server.stats().datagramsIn === 60, 'all arrived')
  // What comes later by the same lane comes after it.
  await flow(live, 100_000)
  await stacks.b.close()
  t.equal(Buffer.compare(batch.bytes, sent), 0)
  t.equal(Buffer.compare(await collect(batches, 30), last), 0)
  t.strictSame(await batches.next(), { done: true, value: undefined })
})
