import { getEventListeners } from 'node:events'
import t from 'tap'
import { Waiters } from '../../src/sockets/waiters.js'

const aborted = { name: 'FakeTcpError', code: 'ABORT_ERR' }

t.test('oldest first', async t => {
  const waiters = new Waiters<number>()
  t.notOk(waiters.resolveOne(1), 'nobody waits')
  const waiting = [waiters.wait(), waiters.wait(), waiters.wait()]
  t.equal(waiters.size, 3)
  t.ok(waiters.resolveOne(1))
  waiters.resolveAll(2)
  t.same(await Promise.all(waiting), [1, 2, 2])
  t.equal(waiters.size, 0)
})

t.test('signals', async t => {
  const waiters = new Waiters<number>()
  await t.rejects(waiters.wait(AbortSignal.abort('why')), { ...aborted, cause: 'why' })
  const { signal, abort } = ((c: AbortController) => ({ signal: c.signal, abort: () => c.abort('later') }))(
    new AbortController(),
  )
  const first = waiters.wait(signal)
  const second = waiters.wait()
  const third = waiters.wait(signal)
  t.equal(getEventListeners(signal, 'abort').length, 2)
  waiters.resolveOne(1)
  t.equal(getEventListeners(signal, 'abort').length, 1, 'a waiter that was served forgets its signal')
  abort()
  t.equal(await first, 1)
  await t.rejects(third, { ...aborted, cause: 'later' })
  t.equal(waiters.size, 1)
  waiters.resolveOne(2)
  t.equal(await second, 2)
})
