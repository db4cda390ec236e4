import t from 'tap'
import { ErrorCode } from '../../src/index.js'
import { type CounterRow, stackCounters } from '../../src/memory/counter-table.js'
import type { ServiceContext } from '../../src/workers/service.js'
import { addresses, openStacks } from '../support/stacks.js'
import { until } from '../support/until.js'
import { counters } from './counting-service.js'

const url = new URL('./counting-service.js', import.meta.url)
const logger = { debug() {}, info() {}, warn() {}, error() {} } as never

t.test('a service counts in every worker, and its counts outlive a worker', async t => {
  const { a, b } = await openStacks(t, { queues: 2 }, { b: { logger } })
  t.same(b.stats().total.services, { traffic: {}, drops: {} })
  await b.serve(7, url, { counters })
  await b.serve(8, url, { counters })
  t.same(b.stats().total.services, { traffic: { good: 0 }, drops: { bad: 0 } })
  const sockets = await Promise.all([7, 8, 7, 8].map(port => a.connect(addresses.b[4], port)))
  for (const socket of sockets) socket.sendBatch(Buffer.from('good'.repeat(3)), 4)
  for (const socket of sockets.slice(0, 2)) socket.send(Buffer.from('bad'))
  const counted = () => b.stats().total.services
  await until(() => counted().traffic.good === 12 && counted().drops.bad === 2, 'exactly what was sent')
  const perWorker = b.stats().workers.map(({ services }) => services.traffic.good)
  t.same(perWorker, [6, 6], 'connections take turns on the queues')

  const before = b.stats().workers
  sockets[0].send(Buffer.from('die'))
  sockets[1].send(Buffer.from('die'))
  await until(() => counted().traffic.good === 14, 'the last count of each')
  // Its successor takes up the counts where it left them.
  for (let sent = 0; counted().traffic.good < 20; sent++) {
    if (sent > 2_000) t.fail(`no new worker counts: ${JSON.stringify(counted())}`)
    sockets[2].send(Buffer.from('good'))
    sockets[3].send(Buffer.from('good'))
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  t.equal(counted().drops.bad, 2)
  for (const [queue, { services }] of b.stats().workers.entries()) {
    t.ok(services.traffic.good > before[queue].services.traffic.good, `queue ${queue}`)
  }
  t.same(Object.keys(b.stats().total.drops).length + Object.keys(b.stats().total.traffic).length, stackCounters.length)
})

t.test('counters that cannot be', async t => {
  const { b } = await openStacks(t)
  const many: CounterRow[] = Array.from({ length: 65 }, (_, i) => ({
    name: `counter${i}`,
    kind: 'drop',
    unit: 'packet',
    text: 'One of many.',
  }))
  const rejected = { code: ErrorCode.INVALID_ARGUMENT }
  await t.rejects(b.serve(7, url, { counters: many }), { ...rejected, message: /may have 64 counters together/u })
  await t.rejects(b.serve(7, url, { counters: stackCounters.slice(0, 1) }), rejected)
  await b.serve(7, url, { counters: [...counters, ...many.slice(0, 62)] })
})

t.test('names are known to the compiler', async t => {
  const { b } = await openStacks(t)
  const { traffic, drops } = b.stats().total
  t.same([traffic.packetsIn, drops.tcpChecksum, drops.unknownTuple], [0, 0, 0])
  // @ts-expect-error: no such counter
  t.equal(drops.packetsIn, undefined)
  const counted: string[] = []
  const context = { count: (name: string) => counted.push(name) } as unknown as ServiceContext<unknown, 'good' | 'bad'>
  context.count('good')
  // @ts-expect-error: the service has not declared it
  context.count('other')
  t.same(counted, ['good', 'other'])
})
