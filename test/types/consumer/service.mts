/** Two services that keep something for each flow: one as a class, one as a function. */
import type { Batch, CloseReason, Service, ServiceContext, ServiceFactory, ServiceFlow } from 'fake-tcp'

interface Visit {
  datagrams: number
}

interface Settings {
  readonly greeting: string
}

type Context = ServiceContext<Settings, 'greeted'>

class Counting implements Service<Visit> {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  opened(flow: ServiceFlow<Visit>): void {
    flow.state = { datagrams: 0 }
    const written: number = flow.send(new TextEncoder().encode(this.#context.data.greeting))
    if (written === 0 || flow.maxDatagram < 100 || !flow.open) flow.close()
    this.#context.connect(flow.token, [Uint8Array.of(192, 0, 2, 1)], flow.remotePort)
  }

  received(flow: ServiceFlow<Visit>, batch: Batch): void {
    if (flow.state !== undefined) flow.state.datagrams += batch.count
    if (batch.count > 1) flow.send(batch)
    else for (const datagram of batch) flow.sendBatch(datagram, datagram.length)
  }

  closed(flow: ServiceFlow<Visit>, reason: CloseReason): void {
    const words = { local: 'by us', reset: 'by the peer', timeout: 'silent', stack: 'with its stack' } as const
    this.#context.log('info', 'counting:visit', 'visit', { reason: words[reason], datagrams: flow.state?.datagrams })
  }

  connectFailed(token: number, error: { code: string; message: string }): void {
    this.#context.log('warn', 'counting:unconnected', error.message, { token, code: error.code })
  }

  settle(): void {}

  stop(): void {}
}

export const inferred: ServiceFactory<Visit, Settings> = ({ data, log }) => ({
  opened(flow) {
    flow.state = { datagrams: data.greeting.length }
  },
  received(flow, batch) {
    // @ts-expect-error: it may not have been set yet.
    flow.state.datagrams += batch.count
  },
  closed(flow, reason) {
    log('info', 'counting:visit', 'visit', { reason, datagrams: flow.state?.datagrams })
    // @ts-expect-error: no reason that a connection ends for.
    if (reason === 'lost') flow.close()
  },
  stop() {},
})

const factory: ServiceFactory<Visit, Settings, 'greeted'> = context => {
  context.every(1_000, () => context.count('greeted', 2))
  // @ts-expect-error: no counter that was declared.
  context.every(1_000, () => context.count('serviceDropped'))
  context.after(10, () =>
    context.log('debug', 'counting:started', 'started', { at: context.now(), queue: context.queue }),
  )
  const refused: number = context.onReadable(0, () => false)
  if (refused === 0) context.offReadable(0)
  return new Counting(context)
}

export default factory
