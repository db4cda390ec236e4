import { Counter, type CounterPage, type DropCounter } from '../memory/counters.js'
import { Field, type FlowTable } from '../memory/flow-table.js'
import { type Memory, native } from '../native.js'
import { Egress } from './egress.js'
import { End, type Report, type Tuple } from './messages.js'
import { Run } from './run.js'
import type { Service, ServiceContext, ServiceFactory, ServiceFlow } from './service.js'

class Flow implements ServiceFlow {
  open = true
  state: unknown
  readonly slot: number
  readonly generation: number
  readonly token: number
  readonly tuple: Tuple
  readonly maxDatagram: number
  readonly service: Service

  constructor(slot: number, generation: number, flows: FlowTable, service: Service) {
    const word = (field: number) => flows.load(slot, field)
    this.slot = slot
    this.generation = generation
    this.service = service
    this.token = word(Field.token)
    this.maxDatagram = word(Field.maxDatagram)
    this.tuple = {
      family: word(Field.family),
      ports: word(Field.ports),
      remote: [word(Field.remote), word(Field.remote + 1), word(Field.remote + 2), word(Field.remote + 3)],
    }
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
  poll(fd: number, interest: number, handler: (events: number) => void): number
  unpoll(fd: number): void
  every(ms: number, tick: () => void): void
  report(report: Report): void
}

/** Runs the services of one worker: knows their flows, gathers datagrams into batches, gives them their context. */
export class ServiceHost {
  readonly #worker: HostWorker
  readonly #services: Service[] = []
  readonly #flows: (Flow | undefined)[] = []
  readonly #run: Run
  #flow: Flow | undefined
  #memory: Memory = 0
  #bytes: Uint8Array = new Uint8Array(0)

  constructor(worker: HostWorker) {
    this.#worker = worker
    this.#run = new Run(new Int32Array(128), 0, 64)
  }

  /** Loads a service's module and makes its instance. Rejects with whatever the module throws. */
  async serve(id: number, url: string, data: unknown): Promise<void> {
    const module = (await import(url)) as { default: ServiceFactory }
    this.#services[id] = await module.default(this.#context(id, data))
  }

  /** A flow of this worker exists. Harmless when it is known already: its first datagrams may overtake the coordinator's word. */
  opened(slot: number, generation: number): Flow | undefined {
    const known = this.#flows[slot]
    if (known !== undefined && known.generation === generation) return known
    const { flows } = this.#worker
    const service = this.#services[flows.load(slot, Field.service)]
    if (service === undefined || !flows.alive(slot, generation)) return undefined
    if (known !== undefined) this.#end(known, End.reset)
    const flow = new Flow(slot, generation, flows, service)
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
    if (flow === this.#flow && memory === this.#memory && this.#run.add(at, length, segmentSize)) return
    this.#flush()
    this.#flow = flow
    this.#memory = memory
    this.#bytes = bytes
    this.#run.reset(Egress.maxPayload(6))
    this.#run.add(at, length, segmentSize)
  }

  /** Call when the memory of what was delivered is about to be reused. */
  settle(): void {
    this.#flush()
    for (const service of this.#services) service?.settle?.()
  }

  stop(): void {
    for (const service of this.#services) service?.stop()
  }

  #flush(): void {
    const flow = this.#flow
    if (flow === undefined) return
    this.#flow = undefined
    if (flow.open) flow.service.received(flow, { memory: this.#memory, bytes: this.#bytes, run: this.#run })
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
      connect: (token, remote, port) => {
        const view = new DataView(remote.buffer, remote.byteOffset, remote.byteLength)
        const word = (i: number) => (i * 4 < remote.length ? view.getInt32(i * 4) : 0)
        worker.report({
          kind: 'connect',
          service: id,
          token,
          family: remote.length === 4 ? 4 : 6,
          port,
          remote: [word(0), word(1), word(2), word(3)],
        })
      },
      send: (flow, memory, vec, vecAt, pieces, bytes, segmentSize) =>
        flow.open
          ? worker.egress.data(flow.slot, flow.generation, memory, vec, vecAt, pieces, bytes, segmentSize, worker.now())
          : 0,
      maxPayload: Egress.maxPayload,
      close: (flow, end = End.local) => {
        if (!flow.open) return
        worker.report({ kind: 'close', slot: flow.slot, generation: flow.generation, end })
        this.#end(flow as Flow, end)
      },
      count: (counter: DropCounter, by = 1) => {
        worker.counters[Counter[counter]] += by
      },
      log: (level, text, fields = {}) => worker.report({ kind: 'log', level, text, fields }),
    }
  }
}

/** A run's pieces live in an arena of words; services that pass them on to the addon register one of their own. */
export const openVector = (words: number): { vec: Int32Array; arena: number } => {
  const vec = new Int32Array(words)
  return { vec, arena: native.arenaOpen(new Uint8Array(vec.buffer)) }
}
