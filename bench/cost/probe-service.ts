/** A service that counts the datagrams that arrive and notes how full the heap of its worker is. */
import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import type { ServiceFactory } from '../../src/index.js'

/** Places per thread in the shared array of doubles. */
export const Probe = { heap: 0, collections: 1, datagrams: 2, length: 3 } as const

/** Notes the heap of this thread every few milliseconds. */
export const watchHeap = (
  figures: Float64Array,
  thread: number,
  every: (ms: number, tick: () => void) => void,
): void => {
  const at = thread * Probe.length
  const note = (): void => {
    figures[at + Probe.heap] = getHeapStatistics().used_heap_size
  }
  new PerformanceObserver(list => {
    figures[at + Probe.collections] += list.getEntries().length
  }).observe({ entryTypes: ['gc'] })
  note()
  every(20, note)
}

const probeService: ServiceFactory = context => {
  const { memory, first } = context.data as { memory: SharedArrayBuffer; first: number }
  const figures = new Float64Array(memory)
  const thread = first + context.queue
  watchHeap(figures, thread, context.every)
  return {
    opened() {},
    received(_, { count }) {
      figures[thread * Probe.length + Probe.datagrams] += count
    },
    closed() {},
    stop() {},
  }
}

export default probeService
