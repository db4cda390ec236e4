/** Sends every datagram back where it came from, inside the worker. With data `{ greeting }` it says that first. */
import { Buffer } from 'node:buffer'
import type { Service, ServiceContext, ServiceFactory } from '../../src/workers/service.js'

export interface EchoData {
  readonly greeting?: string
}

const echo: ServiceFactory = (context: ServiceContext): Service => {
  const { greeting } = (context.data ?? {}) as EchoData
  return {
    opened(flow) {
      if (greeting !== undefined) flow.send(Buffer.from(`${greeting} from queue ${context.queue} of ${context.queues}`))
    },
    received(flow, batch) {
      flow.send(batch)
    },
    closed() {},
    stop() {},
  }
}

export default echo
