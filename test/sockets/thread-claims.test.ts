import t from 'tap'
import type { SharedStack } from '../../src/memory/shared-stack.js'
import { claimThread, giveBackThread } from '../../src/sockets/thread-claims.js'

/** A stack of two queues, with room for three more threads. */
const shared = () =>
  ({
    claims: new SharedArrayBuffer(3 * 4),
    device: { queues: [10, 11] },
    bellFds: [0, 1, 2, 3, 4, 5],
  }) as unknown as SharedStack

t.test('numbers follow those of the queues and the coordinator, each for one thread', async t => {
  const stack = shared()
  t.same([claimThread(stack), claimThread(stack), claimThread(stack)], [3, 4, 5])
  t.throws(() => claimThread(stack), { code: 'CONSUMERS_EXHAUSTED', message: /in 3 other threads already/ })
  giveBackThread(stack, 4)
  t.equal(claimThread(stack), 4, 'the one that is free')
  t.throws(() => claimThread(stack), { code: 'CONSUMERS_EXHAUSTED' })
})
