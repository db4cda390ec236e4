/** A service that keeps something for each flow. */
import type { Batch, Service, ServiceContext, ServiceFactory, ServiceFlow } from 'fake-tcp'

interface Visit {
  datagrams: number
}

class Counting implements Service {
  readonly #context: ServiceContext

  constructor(context: ServiceContext) {
    this.#context = context
  }

  opened(flow: ServiceFlow): void {
    flow.state = { datagrams: 0 } satisfies Visit
    flow.send(new Uint8Array(1))
    if (flow.maxDatagram < 100 || !flow.open) flow.close()
    this.#context.connect(flow.token, [Uint8Array.of(192, 0, 2, 1)], 4567)
  }

  received(flow: ServiceFlow, batch: Batch): void {
    const visit = flow.state as Visit
    visit.datagrams += batch.count
    for (const datagram of batch) flow.sendBatch(datagram, datagram.length)
  }

  closed(flow: ServiceFlow): void {
    this.#context.log('info', 'visit', { datagrams: (flow.state as Visit).datagrams })
  }

  connectFailed(token: number, error: { code: string; message: string }): void {
    this.#context.log('warn', error.message, { token, code: error.code })
  }

  settle(): void {}

  stop(): void {}
}

const factory: ServiceFactory = context => {
  context.every(1_000, () => context.count('serviceDropped'))
  context.after(10, () => context.log('debug', 'started', { at: context.now(), queue: context.queue }))
  return new Counting(context)
}

export default factory
