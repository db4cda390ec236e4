import type { ServiceFactory } from '../../src/index.js'
import { Count } from './count.js'

/** Counts datagrams inside the queue workers, without a hop to another thread. `data`: shared memory of `countBytes(queues)`. */
const countingService: ServiceFactory = context => {
  const count = new Count(context.data as SharedArrayBuffer, context.queue)
  return {
    opened() {},
    received(_, { bytes, run }) {
      for (let piece = 0; piece < run.pieces; piece++) {
        count.add(bytes, run.vec[piece * 2], run.vec[piece * 2 + 1], run.segmentSize)
      }
    },
    closed() {},
    stop() {},
  }
}

export default countingService
