import t from 'tap'
import { DeliveryRing } from '../../src/memory/delivery-ring.js'
import { Doorbell } from '../../src/memory/doorbell.js'
import { native } from '../../src/native.js'
import { runThread } from '../support/threads.js'
import type { BellAnswer, BellTask } from './doorbell-worker.js'

t.test('rings once per arm', async t => {
  const shared = new SharedArrayBuffer(2 * Doorbell.bytes)
  const written: number[] = []
  const bell = new Doorbell(shared, Doorbell.bytes, 42, fd => written.push(fd))
  t.notOk(bell.ring(), 'fresh memory: nobody sleeps')
  bell.arm()
  t.ok(bell.ring())
  t.notOk(bell.ring())
  bell.arm()
  bell.arm()
  bell.disarm()
  t.notOk(bell.ring())
  t.strictSame(written, [42])
  t.equal(bell.fd, 42)
  const other = new Doorbell(shared, 0, 43, fd => written.push(fd))
  bell.arm()
  t.notOk(other.ring(), 'another bell')
  t.ok(new Doorbell(shared, Doorbell.bytes, 44, fd => written.push(fd)).ring(), 'any producer may ring')
  t.strictSame(written, [42, 44])
})

t.test('two threads: no wake-up is lost', async t => {
  const fd = native.eventOpen()
  t.teardown(() => native.close(fd))
  const capacity = 32
  const task = {
    ring: new SharedArrayBuffer(DeliveryRing.bytesFor(capacity)),
    ringAt: 0,
    capacity,
    bell: new SharedArrayBuffer(Doorbell.bytes),
    bellAt: 0,
    fd,
    taken: new Int32Array(new SharedArrayBuffer(8)),
    rounds: 50_000,
    budgetMs: 2000,
    ready: new Int32Array(new SharedArrayBuffer(4)).fill(2),
  }
  const file = new URL('doorbell-worker.js', import.meta.url)
  const [{ lost, rounds, rings }, wakes] = await Promise.all([
    runThread<BellAnswer>(file, { ...task, role: 'produce' } satisfies BellTask),
    runThread<number>(file, { ...task, role: 'consume' } satisfies BellTask),
  ])
  t.equal(lost, -1, 'everything that was sent was taken')
  t.equal(task.taken[0], rounds)
  t.ok(rings > 0 && rings <= rounds, 'a system call per idle-to-busy edge, not per record')
  t.ok(wakes >= 2)
  t.comment(`${rounds} rounds, ${rings} rings, ${wakes} wakes`)
})
