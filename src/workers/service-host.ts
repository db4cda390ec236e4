import { invalid, sizeError } from '../errors.js'
import { Batch } from '../memory/batch.js'
import { Counter, type CounterPage } from '../memory/counters.js'
import { Field, type FlowId } from '../memory/flow-table.js'
import type { StackMemory } from '../memory/shared-stack.js'
import { Span } from '../memory/span.js'
import type { Remote, Tuple } from '../memory/tuple.js'
import { remoteAddress } from '../net/address.js'
import { Egress } from '../path/egress.js'
import { type CloseReason, End, type Order, type Report } from '../path/messages.js'
import type { EventLoop } from './event-loop.js'
import type { Service, ServiceContext, ServiceFactory, ServiceFlow } from './service.js'

/** The most pieces in a batch for a service: each comes from one packet or delivery. */
const maxPieces = 64

/** The span that `sendBatch` sends. */
const outgoing = new Span()

/** A connection of a service, as the service sees it. */
class Flow implements ServiceFlow, FlowId {
  open = true
  state: unknown
  readonly slot: number
  readonly generation: number
  readonly token: number
  readonly maxPayload: number
  readonly service: Service
  readonly #tuple: Tuple
  readonly #worker: HostWorker
  readonly #end: (flow: Flow, reason: CloseReason) => void

  constructor(
    { slot, generation }: FlowId,
    worker: HostWorker,
    service: Service,
    end: (flow: Flow, reason: CloseReason) => void,
  ) {
    const { flows } = worker.memory
    this.#worker = worker
    this.#end = end
    this.#tuple = flows.tuple(slot)
    this.slot = slot
    this.generation = generation
    this.service = service
    this.token = flows.load(slot, Field.token)
    this.maxPayload = Egress.maxPayload(this.#tuple.family)
  }

  get remoteAddress(): string {
    return remoteAddress(this.#tuple).text
  }

  get remotePort(): number {
    return this.#tuple.ports >>> 16
  }

  get localPort(): number {
    return this.#tuple.ports & 0xffff
  }

  get maxDatagram(): number {
    return this.#worker.memory.flows.load(this.slot, Field.maxDatagram)
  }

  send(data: Uint8Array | Batch): number {
    if (data instanceof Uint8Array) return this.sendBatch(data, data.length)
    if (!this.open || data.pieces === 0) return 0
    const { egress, loop } = this.#worker
    return egress.data(this, data, loop.now)
  }

  sendBatch(bytes: Uint8Array, segmentSize: number): number {
    if (!Number.isInteger(segmentSize) || segmentSize < 1 || segmentSize > this.maxDatagram) {
      throw sizeError(this.maxDatagram, segmentSize)
    }
    if (!this.open) return 0
    const { egress, loop } = this.#worker
    return egress.dataCut(this, outgoing.over(bytes, segmentSize), this.maxPayload, loop.now)
  }

  close(reason: CloseReason = 'local'): void {
    this.#end(this, reason)
  }
}

/** What the host needs from its worker. */
export interface HostWorker {
  readonly queue: number
  readonly queues: number
  readonly memory: StackMemory
  readonly counters: CounterPage
  readonly egress: Egress
  readonly loop: Pick<EventLoop, 'now' | 'tryWatch' | 'unwatch' | 'every' | 'after'>
  report(report: Report): void
}

/** Runs the services of one worker: keeps their flows, gathers datagrams into batches, and gives each its context. */
export class ServiceHost {
  readonly #worker: HostWorker
  /** By number. */
  readonly #services: Service[] = []
  /** By slot. */
  readonly #flows: (Flow | undefined)[] = []
  readonly #batch = new Batch(maxPieces)
  /** The flow whose datagrams are in `#batch`. */
  #flow: Flow | undefined
  #stopped = false

  constructor(worker: HostWorker) {
    this.#worker = worker
  }

  /** Loads a service's module and makes its instance. Rejects with the error that the module throws. */
  async serve(order: Extract<Order, { kind: 'serve' }>): Promise<void> {
    const module = (await import(order.url)) as { default: ServiceFactory }
    if (this.#stopped) return
    const service = await module.default(this.#context(order))
    if (this.#stopped) service.stop()
    else this.#services[order.id] = service
  }

  /**
   * A flow exists whose consumer is this worker: tells its service. Does nothing when the flow is known already, since
   * its first datagrams may overtake the coordinator's order. Undefined when the flow has ended, or no service has it.
   */
  opened(id: FlowId): Flow | undefined {
    const { slot, generation } = id
    const known = this.#flows[slot]
    if (known !== undefined && known.generation === generation) return known
    const { flows } = this.#worker.memory
    const service = this.#services[flows.load(slot, Field.service)]
    if (service === undefined || !flows.alive(id)) return undefined
    if (known !== undefined) this.#end(known, 'reset')
    const flow = new Flow(id, this.#worker, service, (ended, reason) => this.#close(ended, reason))
    this.#flows[slot] = flow
    service.opened(flow)
    return flow
  }

  /** Tells a service that its `connect` with `token` failed. */
  connectFailed(id: number, token: number, error: { code: string; message: string }): void {
    this.#services[id]?.connectFailed?.(token, error)
  }

  /** The coordinator has ended a connection. */
  closed({ slot, generation }: FlowId, reason: CloseReason): void {
    const flow = this.#flows[slot]
    if (flow?.generation !== generation) return
    this.#end(flow, reason)
    this.#flows[slot] = undefined
  }

  /** Takes datagrams of a flow of this worker. Its service gets them at `settle` or before. */
  deliver(id: FlowId, span: Span): void {
    let flow = this.#flows[id.slot]
    if (flow === undefined || flow.generation !== id.generation) flow = this.opened(id)
    if (flow === undefined || !flow.open) {
      this.#worker.counters[Counter.flowGone] += span.count
      return
    }
    const batch = this.#batch
    if (flow === this.#flow && span.memory === batch.memory && batch.add(span)) return
    this.#flush()
    this.#flow = flow
    batch.reset(span.memory, span.bytes, Egress.maxPayload(6))
    batch.add(span)
  }

  /** Call before the memory of what was delivered is used again. */
  settle(): void {
    this.#flush()
    for (const service of this.#services) service?.settle?.()
  }

  stop(): void {
    this.#stopped = true
    for (const service of this.#services) service?.stop()
  }

  #flush(): void {
    const flow = this.#flow
    if (flow === undefined) return
    this.#flow = undefined
    if (flow.open) flow.service.received(flow, this.#batch)
  }

  /** A service closes its flow. */
  #close(flow: Flow, reason: CloseReason): void {
    if (!flow.open) return
    this.#worker.report({ kind: 'close', slot: flow.slot, generation: flow.generation, end: End[reason] })
    this.#end(flow, reason)
  }

  /**
   * Tells the service that its flow is closed. The flow stays known until the purge: otherwise its next datagram would
   * open it again.
   */
  #end(flow: Flow, reason: CloseReason): void {
    if (!flow.open) return
    flow.open = false
    flow.service.closed(flow, reason)
  }

  #context({ id, url, data, counters }: Extract<Order, { kind: 'serve' }>): ServiceContext {
    const worker = this.#worker
    return {
      data,
      queue: worker.queue,
      queues: worker.queues,
      now: () => worker.loop.now,
      onReadable: (fd, read) => worker.loop.tryWatch(fd, read),
      offReadable: fd => worker.loop.unwatch(fd),
      every: (ms, tick) => worker.loop.every(ms, tick),
      after: (ms, act) => worker.loop.after(ms, act),
      connect: (token, remotes, port) =>
        worker.report({ kind: 'connect', service: id, token, port, targets: remotes.map(targetOf) }),
      count: (name, by = 1) => {
        const at = counters.get(name)
        if (at === undefined)
          throw invalid(`The service ${url} has declared no counter ${name}: pass it to Stack.serve.`)
        worker.counters[at] += by
      },
      log: (level, event, text, fields) => worker.report({ kind: 'log', level, text, fields: { ...fields, event } }),
    }
  }
}

const targetOf = (remote: Uint8Array): Remote => {
  const view = new DataView(remote.buffer, remote.byteOffset, remote.byteLength)
  const word = (i: number) => (i * 4 < remote.length ? view.getInt32(i * 4) : 0)
  return { family: remote.length === 4 ? 4 : 6, r0: word(0), r1: word(1), r2: word(2), r3: word(3) }
}
