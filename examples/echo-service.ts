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

const factory: ServiceFactory = context => ({
  opened(flow) {
    flow.state = { since: context.now(), datagrams: 0 } satisfies Visit
    flow.send(Buffer.from((context.data as EchoData).greeting))
  },

  /** The batch is valid until this returns; sent as it came, it is never copied. */
  received(flow, batch) {
    const visit = flow.state as Visit
    visit.datagrams += batch.count
    flow.send(batch)
  },

  closed(flow, reason) {
    const { since, datagrams } = flow.state as Visit
    context.log('info', 'visit', { reason, datagrams, ms: Math.round(context.now() - since) })
  },

  stop() {},
})

export default factory
