import { readdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import { allocateStack } from '../../src/engine/allocate.js'
import { QueueWorkers } from '../../src/engine/queue-workers.js'
import { createVirtualLink, ErrorCode, type Socket, type StackOptions } from '../../src/index.js'
import { native } from '../../src/native.js'
import { difference, pattern, text } from '../support/datagrams.js'
import { openRaw } from '../support/raw-peer.js'
import { addresses, connectPair, openStacks, take } from '../support/stacks.js'
import { until } from '../support/until.js'
import { Do, Event, obedientData } from './obedient-service.js'

const module = (name: string) => new URL(`./${name}.js`, import.meta.url)
const descriptors = () => readdirSync('/proc/self/fd').length

/** Two stacks; `kill` ends a worker of the second one and resolves when another one has its queue. */
const openMortal = async (t: Test, queues: number, options: StackOptions = {}) => {
  const replaced: { queue: number; err: Error }[] = []
  const ignore = () => {}
  const logger = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (fields: { queue: number; err: Error }) => replaced.push(fields),
  } as never
  const stacks = await openStacks(t, { queues }, { b: { logger, ...options } })
  const data = obedientData(queues)
  await stacks.b.serve(undefined, module('obedient-service'), { workerData: data })
  const order = (queue: number, what: number = Do.die) => Atomics.store(data.orders, queue, what)
  const kill = async (queue: number, what?: number, message = /^died by order$/) => {
    const before = replaced.length
    order(queue, what)
    await until(() => replaced.length > before, 'a new worker')
    const last = replaced[before]
    if (last.queue !== queue || !message.test(last.err.message)) throw new Error(`replaced: ${JSON.stringify(last)}`)
    await until(() => Atomics.load(data.events, Event.started) === queues + replaced.length, 'its services')
  }
  return { ...stacks, kill, order, replaced }
}

const exchange = async (from: Socket, to: Socket, seed: number): Promise<string | undefined> => {
  const datagrams = Array.from({ length: 20 }, (_, i) => pattern(1 + ((i * 97) % 1400), seed + i))
  for (const datagram of datagrams) from.send(datagram)
  return difference(await take(to, 20), datagrams)
}

for (const queues of [1, 2]) {
  t.test(`a worker that dies is replaced, and flows live on: ${queues} queue(s)`, async t => {
    const stacks = await openMortal(t, queues)
    const listener = stacks.b.listen(1)
    const pairs = []
    for (let i = 0; i < 4; i++) pairs.push(await connectPair(stacks, 1, i % 2 === 0 ? 4 : 6, listener))
    for (let round = 0; round < 3; round++) {
      for (let queue = 0; queue < queues; queue++) {
        await stacks.kill(queue)
        for (const [i, { client, server }] of pairs.entries()) {
          t.equal(await exchange(client, server, i), undefined, 'to the stack that lost a worker')
          t.equal(await exchange(server, client, i), undefined, 'and back')
        }
        const { client, server } = await connectPair(stacks, 1, 4, listener)
        t.equal(await exchange(client, server, 9), undefined, 'new connections work')
        await client.close()
        t.same(await server.closed, { reason: 'reset' })
      }
    }
    t.equal(stacks.replaced.length, 3 * queues)
    t.equal(stacks.b.stats().connections, 4)
    await Promise.all(pairs.map(({ client }) => client.close()))
    for (const { server } of pairs) t.same(await server.closed, { reason: 'reset' })
  })
}

for (const [how, what, message] of [
  ['a loop without end', Do.spin, /^it was busy for \d+ ms without returning to its queue$/],
  ['a sleep without end', Do.wait, /^it slept for \d+ ms/],
  ['a native call that sleeps', Do.block, /^it slept for \d+ ms/],
  ['the heap’s limit', Do.hoard, /memory limit/],
] as const) {
  t.test(`${how}: another worker takes over, the other queue notices nothing`, async t => {
    // To fill the heap may take long enough to count as stuck.
    const stacks = await openMortal(t, 2, { workerHeap: 96, ...(what === Do.hoard && { stuckAfter: 0 }) })
    const listener = stacks.b.listen(1)
    const pairs = []
    for (let i = 0; i < 8; i++) pairs.push(await connectPair(stacks, 1, 4, listener))
    await stacks.kill(0, what, message)
    for (const [i, { client, server }] of pairs.entries()) {
      t.equal(await exchange(client, server, i), undefined)
      t.equal(await exchange(server, client, i), undefined)
    }
    t.equal(stacks.replaced.length, 1)
    await stacks.kill(1)
  })
}

t.test('threads that fail before they have their task are an error, not the end of the process', async t => {
  for (const workerHeap of [1, 2, 3]) {
    const [device, other] = createVirtualLink({ queues: 2 })
    const { shared } = allocateStack(device, device.stackAddress, device.stackAddress6, {})
    const workers = new QueueWorkers(shared, { stuckAfter: 0, workerHeap }, { report: () => {}, replaced: () => {} })
    await t.rejects(workers.start(), { code: ErrorCode.WORKER }, `${workerHeap} MiB`)
    await workers.stop()
    for (const fd of shared.bellFds) native.close(fd)
    device.close()
    other.close()
  }
})

t.test('a worker may take its time when it is told so', async t => {
  const stacks = await openMortal(t, 1, { stuckAfter: 0 })
  const { client, server } = await connectPair(stacks)
  stacks.order(0, Do.block)
  await new Promise(resolve => setTimeout(resolve, 500))
  t.equal(await exchange(client, server, 1), undefined, 'after 3 s it goes on')
  t.same(stacks.replaced, [])
})

t.test('what comes while nobody reads the queue waits there', async t => {
  const stacks = await openMortal(t, 1)
  const { client, server } = await connectPair(stacks)
  stacks.order(0)
  const sent: Uint8Array[] = []
  for (let i = 0; i < 60; i++) {
    sent.push(Buffer.from(`datagram ${i}`))
    client.send(sent[i])
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  await until(() => stacks.replaced.length === 1, 'a new worker')
  client.send(Buffer.from('the end'))
  const got: (string | undefined)[] = []
  while (got.at(-1) !== 'the end') got.push(text((await take(server, 1))[0]))
  const numbers = got.slice(0, -1).map(word => Number(word?.split(' ')[1]))
  t.same(
    numbers,
    numbers.toSorted((a, b) => a - b),
    'in order',
  )
  t.ok(numbers.length > 50, `${numbers.length} of 60`)
})

t.test('services run again in a new worker', async t => {
  const { a, b, kill } = await openMortal(t, 2)
  await b.serve(7, module('echo-service'), { workerData: { greeting: 'hello' } })
  const sockets = [await a.connect(addresses.b[4], 7), await a.connect(addresses.b[6], 7)]
  for (const socket of sockets) t.match(text((await take(socket, 1))[0]), /^hello/)
  await kill(0)
  await kill(1)
  for (const socket of sockets) {
    // The new worker learns of an old flow by its first datagram, and greets it once more.
    const answers: (string | undefined)[] = []
    await until(() => {
      socket.send(Buffer.from('are you there'))
      void socket.recv().then(datagram => answers.push(text(datagram)))
      return answers.includes('are you there')
    }, 'the echo answers')
  }
  t.equal(b.stats().connections, 2)
})

t.test('a datagram that its service cannot bear kills it once', async t => {
  const errors: unknown[] = []
  const logger = { error: (fields: unknown) => errors.push(fields), info: () => {} } as never
  const { stack, peer } = await openRaw(t, { queues: 2 }, { logger })
  const data = obedientData(2)
  await stack.serve(80, module('obedient-service'), { workerData: data })
  const flow = await peer.connect(80)
  await until(() => Atomics.load(data.events, Event.opened) === 1, 'opened')
  for (const queue of [0, 1]) {
    flow.data('poison', { queue })
    await until(() => errors.length === queue + 1, 'a new worker')
    await until(() => Atomics.load(data.events, Event.started) === 3 + queue, 'its service')
    await new Promise(resolve => setTimeout(resolve, 50))
    flow.data('good', { queue })
    await until(() => Atomics.load(data.events, Event.received) === queue + 1, 'the flow lives on')
  }
  t.equal(errors.length, 2)
  t.equal(stack.stats().connections, 1)
})

t.test('the dead leave no descriptors', async t => {
  const stacks = await openMortal(t, 1)
  await stacks.kill(0)
  await stacks.kill(0)
  const before = descriptors()
  for (let i = 0; i < 5; i++) await stacks.kill(0)
  await until(() => descriptors() <= before, `${descriptors()} descriptors, ${before} before`)
  t.equal(descriptors(), before)
})

t.test('a stack closes while a worker dies', async t => {
  for (let i = 0; i < 5; i++) {
    const stacks = await openMortal(t, 2)
    const { client } = await connectPair(stacks)
    stacks.order(0)
    if (i % 2 === 0) await new Promise(resolve => setTimeout(resolve, i))
    await stacks.b.close()
    // The RST and the end of the link come on two queues: either may be seen first.
    t.match((await client.closed).reason, /^(reset|stack)$/)
  }
})
