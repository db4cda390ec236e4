import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { allocateStack } from '../../src/engine/allocate.js'
import { resolveOptions } from '../../src/engine/options.js'
import { QueueWorkers } from '../../src/engine/queue-workers.js'
import { createVirtualLink, ErrorCode, type Socket, type StackOptions } from '../../src/index.js'
import { native } from '../../src/native.js'
import { difference, pattern, text } from '../support/datagrams.js'
import { Obedient, type Order } from '../support/obedient.js'
import { openRaw } from '../support/raw-peer.js'
import { addresses, connectPair, openStacks, take } from '../support/stacks.js'
import { until } from '../support/until.js'

const module = (name: string) => new URL(`./${name}.js`, import.meta.url)
const descriptors = () => readdirSync('/proc/self/fd').length

/** Workers of a stack that were replaced, as its log has them. */
interface Replaced {
  readonly queue: number
  readonly err: Error
}

const noting = (replaced: Replaced[]) => {
  const ignore = () => {}
  return { debug: ignore, info: ignore, warn: ignore, error: (fields: Replaced) => replaced.push(fields) } as never
}

/** Two stacks; the second one has a service that ends its worker by order. */
const openMortal = async (t: Test, queues: number, options: StackOptions = {}) => {
  const replaced: Replaced[] = []
  const stacks = await openStacks(t, { queues }, { b: { logger: noting(replaced), ...options } })
  const obedient = new Obedient()
  await stacks.b.serve(undefined, module('obedient-service'), { workerData: obedient.data })
  /** Ends the worker of a queue, and waits for the one that takes its place. `error` is what the log has to say of it. */
  const kill = async (queue: number, order: Order = 'die', error = /^died by order$/) => {
    const before = replaced.length
    obedient.order(queue, order)
    await until(() => replaced.length > before, 'a new worker')
    t.equal(replaced[before].queue, queue, 'of that queue')
    t.match(replaced[before].err.message, error)
    await until(() => obedient.count('started') === queues + replaced.length, 'its services')
  }
  return { ...stacks, obedient, kill, replaced }
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

for (const [order, error] of [
  ['loop without end', /^it was busy for \d+ ms without returning to its queue$/],
  ['sleep without end', /^it slept for \d+ ms/],
  ['sleep in a native call', /^it slept for \d+ ms/],
  ['fill the heap', /memory limit/],
] as const) {
  t.test(`${order}: another worker takes over, the other queue notices nothing`, async t => {
    // To fill the heap may take long enough to count as stuck.
    const stacks = await openMortal(t, 2, { workerHeap: 96, ...(order === 'fill the heap' && { stuckAfter: 0 }) })
    const listener = stacks.b.listen(1)
    const pairs = []
    for (let i = 0; i < 8; i++) pairs.push(await connectPair(stacks, 1, 4, listener))
    await stacks.kill(0, order, error)
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
    const shared = allocateStack(device, device.stackAddress, device.stackAddress6, resolveOptions({ device }))
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
  stacks.obedient.order(0, 'sleep in a native call')
  await sleep(500)
  t.equal(await exchange(client, server, 1), undefined, 'after 3 s it goes on')
  t.same(stacks.replaced, [])
})

t.test('what comes while nobody reads the queue waits there', async t => {
  const stacks = await openMortal(t, 1)
  const { client, server } = await connectPair(stacks)
  stacks.obedient.order(0, 'die')
  for (let i = 0; i < 60; i++) {
    client.send(Buffer.from(`datagram ${i}`))
    await sleep(1)
  }
  await until(() => stacks.replaced.length === 1, 'a new worker')
  client.send(Buffer.from('the end'))
  const numbers: number[] = []
  for (;;) {
    const word = text((await take(server, 1))[0])
    if (word === 'the end') break
    numbers.push(Number(word?.split(' ')[1]))
  }
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
  const replaced: Replaced[] = []
  const { stack, peer } = await openRaw(t, { queues: 2 }, { logger: noting(replaced) })
  const obedient = new Obedient()
  await stack.serve(80, module('obedient-service'), { workerData: obedient.data })
  const flow = await peer.connect(80)
  await until(() => obedient.count('opened') === 1, 'opened')
  for (const queue of [0, 1]) {
    flow.data('poison', { queue })
    await until(() => replaced.length === queue + 1, 'a new worker')
    await until(() => obedient.count('started') === 3 + queue, 'its service')
    await sleep(50)
    flow.data('good', { queue })
    await until(() => obedient.count('received') === queue + 1, 'the flow lives on')
  }
  t.equal(replaced.length, 2)
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
    stacks.obedient.order(0, 'die')
    if (i % 2 === 0) await sleep(i)
    await stacks.b.close()
    // The RST and the end of the link come on two queues: either may be seen first.
    t.match((await client.closed).reason, /^(reset|stack)$/)
  }
})
