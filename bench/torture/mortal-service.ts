/**
 * Echoes what it gets. A datagram that begins with one of `Poison` ends its worker. `askQueue` is answered with the
 * number of the queue, `hangUp` with a close.
 */
import { spawnSync } from 'node:child_process'
import type { Service, ServiceContext, ServiceFactory } from '../../src/workers/service.js'

/** An exception, `process.exit()`, a loop without end, a native call that sleeps, and a heap without bounds. */
export const Poison = { throw: 0xd0, exit: 0xd1, spin: 0xd2, sleep: 0xd3, hoard: 0xd4 } as const
export const askQueue = 0xd5
export const hangUp = 0xd6

const mortal: ServiceFactory = ({ queue }: ServiceContext): Service => ({
  opened() {},
  received(flow, batch) {
    for (const [first] of batch) {
      if (first === Poison.throw) throw new Error('poisoned')
      if (first === Poison.exit) process.exit(3)
      for (; first === Poison.spin; );
      if (first === Poison.sleep) spawnSync('sleep', ['3'])
      for (const hoard: object[] = []; first === Poison.hoard; ) hoard.push(Array.from({ length: 1_000 }, () => ({})))
      if (first === hangUp) {
        flow.close()
        return
      }
      if (first === askQueue) {
        flow.send(Uint8Array.of(queue))
        return
      }
    }
    flow.send(batch)
  },
  closed() {},
  stop() {},
})

export default mortal
