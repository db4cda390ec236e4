/** Echoes what it gets; a datagram that begins with one of `Poison` ends its worker, `askQueue` is answered with the queue's number. */
import type { Service, ServiceContext, ServiceFactory } from '../../src/workers/service.js'

export const Poison = { throw: 0xd0, exit: 0xd1 } as const
export const askQueue = 0xd2

const mortal: ServiceFactory = ({ queue }: ServiceContext): Service => ({
  opened() {},
  received(flow, batch) {
    for (const [first] of batch) {
      if (first === Poison.throw) throw new Error('poisoned')
      if (first === Poison.exit) process.exit(3)
      if (first === askQueue) {
        flow.send(Uint8Array.of(queue))
        return
      }
    }
    flow.sendRun(batch.memory, batch.run)
  },
  closed() {},
  stop() {},
})

export default mortal
