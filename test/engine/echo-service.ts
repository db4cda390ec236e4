/** Sends every datagram back where it came from, inside the worker. With data `{ greeting }` it says that first. */
import { Buffer } from 'node:buffer'
import type { Service, ServiceContext, ServiceFactory } from '../../src/workers/service.js'
import { openVector } from '../../src/workers/service-host.js'

export interface EchoData {
  readonly greeting?: string
}

const echo: ServiceFactory = (context: ServiceContext): Service => {
  const { greeting } = (context.data ?? {}) as EchoData
  const { vec, arena } = openVector(256)
  return {
    opened(flow) {
      if (greeting === undefined) return
      const bytes = Buffer.from(`${greeting} from queue ${context.queue} of ${context.queues}`)
      vec[0] = 0
      vec[1] = bytes.length
      context.send(flow, bytes, arena, 0, 1, bytes.length, bytes.length)
    },
    received(flow, { memory, run }) {
      vec.set(run.vec.subarray(run.vecAt, run.vecAt + run.pieces * 2))
      const sent = context.send(flow, memory, arena, 0, run.pieces, run.bytes, run.segmentSize)
      if (sent < run.count) context.count('serviceDropped', run.count - sent)
    },
    closed() {},
    stop() {},
  }
}

export default echo
