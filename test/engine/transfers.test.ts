import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { ErrorCode, Socket, type SocketHandle } from '../../src/index.js'
import { difference, pattern } from '../support/datagrams.js'
import { connectPair, linkName, links, openStacks, take } from '../support/stacks.js'
import { until } from '../support/until.js'
import type { TransferAnswer, TransferTask } from './transfers-worker.js'

/** A thread that does what it is told, ended with the test. */
const startThread = (t: Test) => {
  const worker = new Worker(new URL('./transfers-worker.js', import.meta.url))
  t.teardown(() => worker.terminate())
  return {
    worker,
    ask: async (task: TransferTask): Promise<TransferAnswer> => {
      worker.postMessage(task)
      const [answer] = (await once(worker, 'message')) as [TransferAnswer]
      return answer
    },
  }
}

const taken = (answer: TransferAnswer): Uint8Array[] => (answer.kind === 'taken' ? answer.datagrams : [])
const handleOf = (answer: TransferAnswer): SocketHandle => {
  if (answer.kind !== 'handle') throw new Error(`${answer.kind} instead of a handle`)
  return answer.handle
}
const numbers = (from: number, to: number): Uint8Array[] =>
  Array.from({ length: to - from }, (_, i) => pattern(100 + ((from + i) % 7), from + i))

for (const link of links) {
  t.test(`what was not read goes along, the rest comes directly: ${linkName(link)}`, async t => {
    const stacks = await openStacks(t, link)
    const { client, server } = await connectPair(stacks)
    const { ask } = startThread(t)
    const sent = numbers(0, 300)
    for (const datagram of sent.slice(0, 100)) client.send(datagram)
    await until(() => server.stats().datagramsIn === 100, 'arrived')
    t.equal(difference(await take(server, 10), sent.slice(0, 10)), undefined)
    const attached = ask({ kind: 'attach', handle: server.transfer() })
    for (const datagram of sent.slice(100, 200)) client.send(datagram)
    t.same(await attached, { kind: 'done' })
    for (const datagram of sent.slice(200)) client.send(datagram)
    t.equal(difference(taken(await ask({ kind: 'take', count: 290 })), sent.slice(10)), undefined, 'all, in order')

    await ask({ kind: 'echo' })
    client.send(pattern(1000, 1))
    t.same(await take(client, 1), [pattern(1000, 1)], 'and it sends from there')
    await client.close()
    t.match(await ask({ kind: 'closed' }), { reason: 'reset' })
    t.same(await server.closed, { reason: 'reset' }, 'the first socket hears of it too')
  })
}

t.test('both ends in threads of their own, many datagrams', async t => {
  const stacks = await openStacks(t, { queues: 2 })
  const { client, server } = await connectPair(stacks)
  const { ask } = startThread(t)
  await ask({ kind: 'attach', handle: server.transfer() })
  await ask({ kind: 'echo' })
  const local = await Socket.attach(client.transfer())
  const size = 500
  for (let round = 0; round < 200; round++) {
    local.sendBatch(pattern(size * 50, round), size)
    const back = await take(local, 50)
    if (Buffer.compare(Buffer.concat(back), pattern(size * 50, round)) !== 0) return t.fail(`round ${round}`)
  }
  t.equal(local.stats().datagramsIn, 10_000)
  await local.close()
  t.same(await local.closed, { reason: 'local' })
})

t.test('here it is of no more use', async t => {
  const stacks = await openStacks(t)
  const { client, server } = await connectPair(stacks)
  const waiting = server.recv()
  const handle = server.transfer()
  const code = ErrorCode.TRANSFERRED
  await t.rejects(waiting, { code }, 'somebody waits for a datagram')
  await t.rejects(server.recv(), { code })
  await t.rejects(server.batches().next(), { code })
  t.throws(() => server.send(pattern(10, 0)), { code })
  t.throws(() => server.transfer(), { code })
  t.throws(() => server.tryRecvInto(new Uint8Array(10)), { code })
  const { ask } = startThread(t)
  t.same(await ask({ kind: 'attach', handle }), { kind: 'done' })
  t.same(await ask({ kind: 'attach', handle }), { kind: 'failed', code: ErrorCode.CLOSED }, 'a handle is good for once')
  const another = startThread(t)
  t.same(await another.ask({ kind: 'attach', handle }), { kind: 'failed', code: ErrorCode.CLOSED })
  client.send(pattern(10, 1))
  t.same(taken(await ask({ kind: 'take', count: 1 })), [pattern(10, 1)])
  await server.close()
  t.match(await ask({ kind: 'closed' }), { reason: 'local' }, 'but for closing it')
  t.same(await client.closed, { reason: 'reset' })
})

t.test('from thread to thread', async t => {
  const stacks = await openStacks(t)
  const { client, server } = await connectPair(stacks)
  const [first, second] = [startThread(t), startThread(t)]
  await first.ask({ kind: 'attach', handle: server.transfer() })
  const sent = numbers(0, 90)
  for (const datagram of sent.slice(0, 30)) client.send(datagram)
  t.equal(taken(await first.ask({ kind: 'take', count: 10 })).length, 10)
  const attached = second.ask({ kind: 'attach', handle: handleOf(await first.ask({ kind: 'transfer' })) })
  for (const datagram of sent.slice(30, 60)) client.send(datagram)
  t.same(await attached, { kind: 'done' })
  for (const datagram of sent.slice(60)) client.send(datagram)
  t.equal(difference(taken(await second.ask({ kind: 'take', count: 80 })), sent.slice(10)), undefined)
  await first.worker.terminate()
  client.send(pattern(7, 7))
  t.same(taken(await second.ask({ kind: 'take', count: 1 })), [pattern(7, 7)], 'it lives without its first thread')
})

t.test('a thread that dies closes its connections and leaves its place', async t => {
  const stacks = await openStacks(t, { queues: 2 }, { b: { consumers: 1 } })
  const listener = stacks.b.listen(80)
  for (let round = 0; round < 3; round++) {
    const { client, server } = await connectPair(stacks, 80, 4, listener)
    const { ask, worker } = startThread(t)
    t.same(await ask({ kind: 'attach', handle: server.transfer() }), { kind: 'done' })
    // Nobody reads these: they die with the thread.
    for (let i = 0; i < 100; i++) {
      client.sendBatch(pattern(10_000, i), 1000)
      await until(() => server.stats().datagramsIn === 10 * (i + 1), 'arrived')
    }
    await worker.terminate()
    t.same(await client.closed, { reason: 'reset' })
    await until(() => stacks.b.stats().connections === 0, 'gone')
  }
})

t.test('as many threads as the stack was told', async t => {
  const stacks = await openStacks(t, {}, { b: { consumers: 1 } })
  const first = await connectPair(stacks, 80)
  const second = await connectPair(stacks, 81)
  const [a, b] = [startThread(t), startThread(t)]
  t.same(await a.ask({ kind: 'attach', handle: first.server.transfer() }), { kind: 'done' })
  const code = ErrorCode.CONSUMERS_EXHAUSTED
  const handle = second.server.transfer()
  t.same(await b.ask({ kind: 'attach', handle }), { kind: 'failed', code })
  t.same(await a.ask({ kind: 'attach', handle }), { kind: 'done' }, 'one thread takes any number of sockets')
})

t.test('a stack that closes takes its sockets from every thread', async t => {
  const stacks = await openStacks(t)
  const { client, server } = await connectPair(stacks)
  const { ask } = startThread(t)
  await ask({ kind: 'attach', handle: server.transfer() })
  const never = (await connectPair(stacks, 99)).server.transfer()
  await stacks.b.close()
  t.match(await ask({ kind: 'closed' }), { reason: 'stack' })
  t.same(await client.closed, { reason: 'reset' })
  t.same(await ask({ kind: 'take', count: -1 }), { kind: 'taken', datagrams: [] })
  void never
})

t.test('what arrived before the stack closed can still be read in a busy thread', async t => {
  const stacks = await openStacks(t)
  const { client, server } = await connectPair(stacks)
  const { ask } = startThread(t)
  await ask({ kind: 'attach', handle: server.transfer() })
  await ask({ kind: 'block', ms: 300 })
  const sent = numbers(0, 40)
  for (const datagram of sent) client.send(datagram)
  await until(() => server.stats().datagramsIn === 40, 'arrived')
  await stacks.b.close()
  t.equal(difference(taken(await ask({ kind: 'take', count: -1 })), sent), undefined)
})
