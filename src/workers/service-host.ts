import { sizeError } from '../errors.js'
import { Counter, type CounterPage, type DropCounter } from '../memory/counters.js'
import { Field, type FlowTable } from '../memory/flow-table.js'
import { Run } from '../memory/run.js'
import type { Memory } from '../native.js'
import { Batch } from '../path/batch.js'
import { Egress } from '../path/egress.js'
import { End, type Report, type Target, type Tuple } from '../path/messages.js'
import type { PollHandler, Service, ServiceContext, ServiceFactory, ServiceFlow } from './service.js'

class Flow implements ServiceFlow {
  open = true
  state: unknown
  readonly slot: number
  readonly generation: number
  readonly token: number
  readonly tuple: Tuple
  readonly maxPayload: number
  readonly service: Service
  readonly #worker: HostWorker
  readonly #end: (flow: Flow, end: End) => void

  constructor(
    slot: number,
    generation: number,
    worker: HostWorker,
    service: Service,
    end: (flow: Flow, end: End) => void,
  ) {
    const word = (field: number) => worker.flows.load(slot, field)
    this.#worker = worker
    this.#end = end
    this.slot = slot
    this.generation = generation
    this.service = service
    this.token = word(Field.token)
    this.maxPayload = Egress.maxPayload(word(Field.family))
    this.tuple = {
      family: word(Field.family),
      ports: word(Field.ports),
      remote: [word(Field.remote), word(Field.remote + 1), word(Field.remote + 2), word(Field.remote + 3)],
    }
  }

  get maxDatagram(): number {
    return this.#worker.flows.load(this.slot, Field.maxDatagram)
  }

  send(datagram: Uint8Array): boolean {
    return this.sendBatch(datagram, datagram.length) === 1
  }

  sendBatch(bytes: Uint8Array, segmentSize: number): number {
    if (!Number.isInteger(segmentSize) || segmentSize < 1 || segmentSize > this.maxDatagram) {
      throw sizeError(this.maxDatagram, segmentSize)
    }
    if (!this.open) return 0
    const { egress, now } = this.#worker
    return egress.batch(this.slot, this.generation, bytes, segmentSize, this.maxPayload, now())
  }

  sendRun(memory: Memory, { vecArena, pieces, bytes, segmentSize }: Run): number {
    if (!this.open || pieces === 0) return 0
    const { egress, now } = this.#worker
    return egress.data(this.slot, this.generation, memory, vecArena, 0, pieces, bytes, segmentSize, now())
  }

  close(end: End = End.local): void {
    this.#end(this, end)
  }
}

/** What the host needs from the worker it lives in. */
export interface HostWorker {
  readonly queue: number
  readonly queues: number
  readonly flows: FlowTable
  readonly counters: CounterPage
  readonly egress: Egress
  now(): number
  poll(fd: number, interest: number, handler: PollHandler): number
  unpoll(fd: number): void
  every(ms: number, tick: () => void): void
  after(ms: number, act: () => void): void
  report(report: Report): void
}

/** Runs the services of one worker: knows their flows, gathers datagrams into batches, gives them their context. */
export class ServiceHost {
  readonly #worker: HostWorker
  readonly #services: Service[] = []
  readonly #flows: (Flow | undefined)[] = []
  readonly #batch = new Batch(new Run(64))
  #flow: Flow | undefined
  #stopped = false

  constructor(worker: HostWorker) {
    this.#worker = worker
  }

  /** Loads a service's module and makes its instance. Rejects with whatever the module throws. */
  async serve(id: number, url: string, data: unknown): Promise<void> {
    const module = (await import(url)) as { default: ServiceFactory }
    if (this.#stopped) return
    const service = await module.default(this.#context(id, data))
    if (this.#stopped) service.stop()
    else this.#services[id] = service
  }

  /** A flow of this worker exists. Harmless when it is known already: its first datagrams may overtake the coordinator's word. */
  opened(slot: number, generation: number): Flow | undefined {
    const known = this.#flows[slot]
    if (known !== undefined && known.generation === generation) return known
    const { flows } = this.#worker
    const service = this.#services[flows.load(slot, Field.service)]
    if (service === undefined || !flows.alive(slot, generation)) return undefined
    if (known !== undefined) this.#end(known, End.reset)
    const flow = new Flow(slot, generation, this.#worker, service, (flow, end) => this.#close(flow, end))
    this.#flows[slot] = flow
    service.opened(flow)
    return flow
  }

  connectFailed(id: number, token: number, error: { code: string; message: string }): void {
    this.#services[id]?.connectFailed?.(token, error)
  }

  closed(slot: number, generation: number, end: End): void {
    const flow = this.#flows[slot]
    if (flow?.generation !== generation) return
    this.#end(flow, end)
    this.#flows[slot] = undefined
  }

  /** Datagrams for one of this worker's flows; they reach the service at the latest with `settle`. */
  deliver(
    slot: number,
    generation: number,
    memory: Memory,
    bytes: Uint8Array,
    at: number,
    length: number,
    segmentSize: number,
  ): void {
    let flow = this.#flows[slot]
    if (flow === undefined || flow.generation !== generation) flow = this.opened(slot, generation)
    if (flow === undefined || !flow.open) {
      this.#worker.counters[Counter.flowGone] += Math.ceil(length / segmentSize)
      return
    }
    const batch = this.#batch
    if (flow === this.#flow && memory === batch.memory && batch.run.add(at, length, segmentSize)) return
    this.#flush()
    this.#flow = flow
    batch.memory = memory
    batch.bytes = bytes
    batch.run.reset(Egress.maxPayload(6))
    batch.run.add(at, length, segmentSize)
  }

  /** Call when the memory of what was delivered is about to be reused. */
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

  #close(flow: Flow, end: End): void {
    if (!flow.open) return
    this.#worker.report({ kind: 'close', slot: flow.slot, generation: flow.generation, end })
    this.#end(flow, end)
  }

  /** The flow stays known until the purge: datagrams that still come must not open it again. */
  #end(flow: Flow, end: End): void {
    if (!flow.open) return
    flow.open = false
    flow.service.closed(flow, end)
  }

  #context(id: number, data: unknown): ServiceContext {
    const worker = this.#worker
    return {
      data,
      queue: worker.queue,
      queues: worker.queues,
      now: worker.now,
      poll: worker.poll,
      unpoll: worker.unpoll,
      every: worker.every,
      after: worker.after,
      connect: (token, remotes, port) =>
        worker.report({ kind: 'connect', service: id, token, port, targets: remotes.map(targetOf) }),
      count: (counter: DropCounter, by = 1) => {
        worker.counters[Counter[counter]] += by
      },
      log: (level, text, fields = {}) => worker.report({ kind: 'log', level, text, fields }),
    }
  }
}

const targetOf = (remote: Uint8Array): Target => {
  const view = new DataView(remote.buffer, remote.byteOffset, remote.byteLength)
  const word = (i: number) => (i * 4 < remote.length ? view.getInt32(i * 4) : 0)
  return { family: remote.length === 4 ? 4 : 6, remote: [word(0), word(1), word(2), word(3)] }
}
