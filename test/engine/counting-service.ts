/** Counts the datagrams of each flow, and ends its worker when one says so. */
import { type CounterName, counterTable } from '../../src/memory/counter-table.js'
import type { ServiceFactory } from '../../src/workers/service.js'

export const counters = [
  ...counterTable('traffic', { good: ['datagram', 'Received by the service.'] }),
  ...counterTable('drop', { bad: ['datagram', 'Received by the service, and not liked.'] }),
] as const

const counting: ServiceFactory<unknown, unknown, CounterName<typeof counters>> = context => ({
  opened() {},
  received(_, batch) {
    for (const datagram of batch) {
      const text = Buffer.from(datagram).toString()
      context.count(text === 'bad' ? 'bad' : 'good')
      if (text === 'die') throw new Error('as it was told')
    }
  },
  closed() {},
  stop() {},
})

export default counting
