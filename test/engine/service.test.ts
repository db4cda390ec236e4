import fc from 'fast-check'
import t from 'tap'
import { ErrorCode } from '../../src/index.js'
import { difference, pattern, text } from '../support/datagrams.js'
import { Obedient } from '../support/obedient.js'
import { ACK, RST, SYN } from '../support/packets.js'
import { openRaw } from '../support/raw-peer.js'
import { addresses, drops, linkName, links, lost, openStacks, take } from '../support/stacks.js'
import { until } from '../support/until.js'
import { chatter } from './chatty-service.js'
import type { EchoData } from './echo-service.js'

const module = (name: string) => new URL(`./${name}.js`, import.meta.url)

for (const link of links) {
  t.test(`an echo inside the workers: ${linkName(link)}`, async t => {
    const { a, b } = await openStacks(t, link)
    await b.serve(7, module('echo-service'))
    for (const family of [4, 6] as const) {
      const sockets = await Promise.all(Array.from({ length: 4 }, () => a.connect(addresses.b[family], 7)))
      const size = fc.integer({ min: 1, max: family === 4 ? 1460 : 1440 })
      await fc.assert(
        fc.asyncProperty(fc.array(size, { minLength: 1, maxLength: 30 }), fc.nat(3), async (sizes, which) => {
          const datagrams = sizes.map(pattern)
          for (const datagram of datagrams) sockets[which].send(datagram)
          const wrong = difference(await take(sockets[which], sizes.length), datagrams)
          if (wrong !== undefined) throw new Error(wrong)
        }),
        { numRuns: 50 },
      )
      const bytes = pattern(60_000, family)
      for (const socket of sockets) {
        socket.sendBatch(bytes, 1400)
        t.equal(Buffer.compare(Buffer.concat(await take(socket, 43)), bytes), 0)
      }
      await Promise.all(sockets.map(socket => socket.close()))
    }
    await until(() => b.stats().connections === 0, 'all closed')
    t.same(lost(a), {})
    t.same(lost(b), {})
  })
}

t.test('workerData, several services, and ports', async t => {
  const { a, b } = await openStacks(t, { queues: 2 })
  await b.serve(1, module('echo-service'), { workerData: { greeting: 'one' } satisfies EchoData })
  await b.serve(2, module('echo-service'), { workerData: { greeting: 'two' } satisfies EchoData })
  for (const [port, word] of [
    [1, 'one'],
    [2, 'two'],
    [1, 'one'],
  ] as const) {
    const socket = await a.connect(addresses.b[4], port)
    t.match(text((await take(socket, 1))[0]), new RegExp(`^${word} from queue [01] of 2$`))
    socket.send(Buffer.from('again'))
    t.equal(text((await take(socket, 1))[0]), 'again')
  }
  const taken = { code: ErrorCode.PORT_TAKEN }
  t.throws(() => b.listen(1), taken)
  await t.rejects(b.serve(2, module('echo-service')), taken)
  const listener = b.listen(3)
  await t.rejects(b.serve(3, module('echo-service')), taken)
  await listener.close()
  await b.serve(3, module('echo-service'))
})

t.test('a service that cannot start', async t => {
  const { b } = await openStacks(t, { queues: 2 })
  const workerError = { name: 'FakeTcpError', code: ErrorCode.WORKER }
  const message = 'it will not start'
  for (const [code, ours, wanted] of [
    ['ERR_FAKE_TCP_OF_THE_SERVICE', true, 'ERR_FAKE_TCP_OF_THE_SERVICE'],
    ['ERR_FAKE_TCP_OF_THE_SERVICE', false, ErrorCode.WORKER],
    ['ENOENT', false, ErrorCode.WORKER],
  ] as const) {
    const bad = b.serve(1, module('bad-service'), { workerData: { code, ours } })
    await t.rejects(bad, { name: 'FakeTcpError', code: wanted, message })
  }
  await t.rejects(b.serve(1, module('no-such-service')), workerError)
  for (const port of [0, 65_536]) {
    await t.rejects(b.serve(port, module('echo-service')), { code: ErrorCode.INVALID_ARGUMENT })
  }
  b.listen(1)
  const pending = t.rejects(b.serve(2, module('slow-service')), { code: ErrorCode.CLOSED })
  await b.close()
  await pending
  await t.rejects(b.serve(2, module('echo-service')), { code: ErrorCode.CLOSED })
})

t.test('a service that connects, closes, logs and stops', async t => {
  const logged: unknown[] = []
  const log = (fields: unknown, message: string) => logged.push({ fields, message })
  const logger = { debug: log, info: log, warn: log, error: log } as never
  const stacks = await openStacks(t, { queues: 2 }, { a: { logger } })
  const { a, b } = stacks
  const listener = b.listen(80)
  const obedient = new Obedient({ remote: Uint8Array.of(192, 168, 201, 2), port: 80 })
  await a.serve(undefined, module('obedient-service'), { workerData: obedient.data })
  await until(() => obedient.count('started') === 2, 'one in each worker')

  for (const queue of [0, 1]) obedient.order(queue, 'connect')
  const sockets = [await listener.accept(), await listener.accept()]
  await until(() => obedient.count('opened') === 2, 'both were told')
  for (const socket of sockets) for (let i = 0; i < 5; i++) socket.send(pattern(10, i).fill(i, 0, 1))
  await until(() => obedient.count('received') === 10, 'both received')

  obedient.order(0, 'close all')
  t.match(await Promise.race(sockets.map(({ closed }) => closed)), { reason: 'reset' })
  await until(() => obedient.count('closed') === 1, 'closed')
  await Promise.all(sockets.map(socket => socket.close()))
  await until(() => obedient.count('closed') === 2, 'and the one whose peer ended it')

  await listener.close()
  for (const queue of [0, 1]) obedient.order(queue, 'connect')
  await until(() => obedient.count('connectFailed') === 2, 'both were refused')
  t.equal(drops(a).connectFailed, 2)

  obedient.order(1, 'log')
  await until(() => logged.length > 0, 'a line')
  t.same(logged, [{ fields: { queue: 1, event: 'test:ordered' }, message: 'logged by order' }])
  await a.close()
  await until(() => obedient.count('stopped') === 2, 'both were stopped')
  t.equal(obedient.count('closed'), 2, 'each flow ended once')
})

t.test('a connection that the peer ends before its service has heard of it', async t => {
  const { stack, peer } = await openRaw(t, { queues: 2 })
  const obedient = new Obedient({ remote: Uint8Array.of(192, 168, 201, 2), port: 80 })
  await stack.serve(undefined, module('obedient-service'), { workerData: obedient.data })
  obedient.order(0, 'connect and be busy')
  const syn = await peer.next('SYN', ({ flags }) => flags === SYN)
  // The other worker reads what the peer says, while the one that asked is busy.
  const tuple = { queue: 1, sourcePort: syn.destinationPort, destinationPort: syn.sourcePort }
  peer.send({ ...tuple, flags: SYN | ACK, seq: 0, ack: 1 })
  await peer.next('final ACK', ({ flags }) => flags === ACK)
  peer.send({ ...tuple, flags: RST, seq: 1, ack: 1 })
  await until(() => obedient.count('connectFailed') === 1, 'the service is told')
  t.equal(obedient.count('opened'), 0)
  t.equal(stack.stats().connections, 0)
})

t.test('events without end are counted in the worker, and nothing of the count is lost at the end', async t => {
  const logged: { i: number; count?: number }[] = []
  const log = (fields: { i: number }) => logged.push(fields)
  const logger = { debug: log, info: log, warn: log, error: log } as never
  const { a } = await openStacks(t, { queues: 1 }, { a: { logger } })
  await a.serve(undefined, module('chatty-service'))
  await until(() => logged.length >= 20, 'the first ones')
  await a.close()
  t.equal(logged.length, 21, 'a few lines')
  t.same(logged.at(-1), { event: 'test:many', i: chatter - 1, count: chatter - 20 })
})

t.test('a connection of a service ends with the peer’s RST, and with the stack', async t => {
  const { stack, peer } = await openRaw(t)
  const obedient = new Obedient()
  await stack.serve(80, module('obedient-service'), { workerData: obedient.data })
  const flow = await peer.connect(80)
  flow.data('hello')
  await until(() => obedient.count('received') === 1, 'received')
  flow.data('last')
  flow.send({ flags: RST })
  await until(() => obedient.count('closed') === 1, 'closed')
  t.equal(obedient.count('received'), 2)
  await peer.connect(80, 40_001)
  await until(() => obedient.count('opened') === 2, 'another one')
  await stack.close()
  await until(() => obedient.count('stopped') === 1, 'stopped')
  t.equal(obedient.count('closed'), 2)
})
