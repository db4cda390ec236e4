import type { ServiceFactory } from '../../src/index.js'
import { Count } from './count.js'

/**
 * Counts datagrams inside the queue workers, without a hop to another thread. `data` is shared memory of
 * `countBytes(queues)`.
 */
const countingService: ServiceFactory = context => {
  const count = new Count(context.data as SharedArrayBuffer, context.queue)
  return {
    opened() {},
    received(_, { bytes, vec, pieces, segmentSize }) {
      for (let piece = 0; piece < pieces; piece++) count.add(bytes, vec[piece * 2], vec[piece * 2 + 1], segmentSize)
    },
    closed() {},
    stop() {},
  }
}

export default countingService
