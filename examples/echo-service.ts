/** The module of examples/service.ts: each queue worker loads it once. */
import type { ServiceFactory } from 'fake-tcp'

/** What a flow keeps between two calls. */
interface Visit {
  readonly since: number
  datagrams: number
}

/** What the starter passes. */
export interface EchoData {
  readonly greeting: string
}

const factory: ServiceFactory<Visit, EchoData> = context => ({
  opened(flow) {
    flow.state = { since: context.now(), datagrams: 0 }
    flow.send(Buffer.from(context.data.greeting))
  },

  /** The batch is valid until this returns; sent as it came, it is never copied. */
  received(flow, batch) {
    if (flow.state !== undefined) flow.state.datagrams += batch.count
    flow.send(batch)
  },

  closed(flow, reason) {
    const { since = 0, datagrams = 0 } = flow.state ?? {}
    context.log('info', 'echo:visit', 'visit', { reason, datagrams, ms: Math.round(context.now() - since) })
  },

  stop() {},
})

export default factory
