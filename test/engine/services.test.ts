import t from 'tap'
import type { QueueWorkers } from '../../src/engine/queue-workers.js'
import { Services } from '../../src/engine/services.js'
import { ErrorCode, FakeTcpError } from '../../src/errors.js'
import type { Order } from '../../src/path/messages.js'

/** Two workers that note their orders: [queue, module]. */
const open = () => {
  const orders: [queue: number, url: string, id: number][] = []
  const post = (queue: number, order: Order): void => {
    if (order.kind === 'serve') orders.push([queue, order.url, order.id])
  }
  const workers = {
    count: 2,
    post,
    broadcast: (order: Order) => {
      for (const queue of [0, 1]) post(queue, order)
    },
  } as unknown as QueueWorkers
  return { services: new Services(workers), orders: () => orders.splice(0) }
}

/** Whether a promise has ended by now. */
const ended = async (promise: Promise<unknown>): Promise<boolean> => {
  const pending = {}
  return (await Promise.race([promise, Promise.resolve(pending)])) !== pending
}

t.test('a service is there when every worker has loaded it', async t => {
  const { services, orders } = open()
  const promise = services.serve('file:///one.js', 5, [])
  t.strictSame(orders(), [
    [0, 'file:///one.js', 0],
    [1, 'file:///one.js', 0],
  ])
  services.served({ kind: 'served', id: 0 })
  t.notOk(await ended(promise))
  services.served({ kind: 'served', id: 0 })
  const acceptor = await promise
  t.strictSame(acceptor.user(1), { consumer: 1, service: 0, token: 0 }, 'the worker that a flow came to takes it')
})

t.test('services are numbered, and load side by side', async t => {
  const { services, orders } = open()
  const [first, second] = ['one', 'two'].map(name => services.serve(`file:///${name}.js`, undefined, []))
  t.strictSame(
    orders().map(([, , id]) => id),
    [0, 0, 1, 1],
  )
  for (let i = 0; i < 2; i++) services.served({ kind: 'served', id: 1 })
  t.match((await second).user(0), { service: 1 })
  t.notOk(await ended(first))
  services.abandon(new FakeTcpError(ErrorCode.CLOSED, 'The stack closes.'))
  await t.rejects(first, { code: ErrorCode.CLOSED })
})

t.test('one worker that cannot load it is enough to fail', async t => {
  const { services } = open()
  const promise = services.serve('file:///one.js', undefined, [])
  const error = { code: ErrorCode.WORKER, message: 'at load' }
  services.served({ kind: 'served', id: 0, error })
  await t.rejects(promise, { code: ErrorCode.WORKER, message: 'at load' })
  services.served({ kind: 'served', id: 0 })
  services.served({ kind: 'served', id: 0, error })
  services.served({ kind: 'served', id: 77 })
})

t.test('the successor of a worker that died gets every service, in its order', async t => {
  const { services, orders } = open()
  const loading = ['one', 'two'].map(name => services.serve(`file:///${name}.js`, undefined, []))
  orders()
  services.restore(1)
  t.strictSame(orders(), [
    [1, 'file:///one.js', 0],
    [1, 'file:///two.js', 1],
  ])
  services.abandon(new FakeTcpError(ErrorCode.CLOSED, 'The stack closes.'))
  for (const promise of loading) await t.rejects(promise, { code: ErrorCode.CLOSED })
})
