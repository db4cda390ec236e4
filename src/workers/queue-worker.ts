import { readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import type { MessagePort } from 'node:worker_threads'
import { type AnyErrorCode, ErrorCode, FakeTcpError } from '../errors.js'
import { Repeats } from '../log/repeats.js'
import { Counter, type CounterPage } from '../memory/counters.js'
import { Field, type FlowId } from '../memory/flow-table.js'
import type { LaneReader } from '../memory/lane.js'
import { type SharedStack, StackMemory } from '../memory/shared-stack.js'
import type { Span } from '../memory/span.js'
import { Errno, native } from '../native.js'
import { AckSchedule } from '../path/ack-schedule.js'
import { Egress } from '../path/egress.js'
import { Inbox } from '../path/inbox.js'
import { closeReasons, type Order, type Report } from '../path/messages.js'
import { EventLoop } from './event-loop.js'
import { Heartbeat } from './heartbeat.js'
import { Reader } from './reader.js'
import { ServiceHost } from './service-host.js'

/** What piscina hands to a worker: the task runs until the coordinator says stop. */
export interface QueueTask {
  readonly queue: number
  readonly shared: SharedStack
  readonly messagePort: MessagePort
}

/** How often the worker looks for ACKs that are due. */
const ackTickMs = 250
/** An interface that is down is tried again after this time. */
const downMs = 100

const endedAtOnce = { code: ErrorCode.CLOSED, message: 'The peer took the connection and ended it at once.' } as const

export default function run(task: QueueTask): Promise<void> {
  return new QueueWorker(task).stopped
}

/**
 * One TUN queue. The way of a packet that arrives on it:
 *
 *  1. `EventLoop` hears from the kernel that the queue is readable, and begins a turn.
 *  2. `Reader` reads a batch of packets, straight into the lane of the consumer that the last ones went to.
 *  3. `Inbound` takes them one by one: `Classifier` checks each against the rules of the wire, `TupleCache` and
 *     `TupleIndex` find its flow.
 *  4. The flow's numbers move, and an ACK leaves by `Egress` if one is due. What belongs to no flow is answered or
 *     counted, and a handshake that earned it is reported to the coordinator.
 *  5. `Reader` hands the datagrams on: to `ServiceHost` when the flow is a service's here, else to `LaneWriter`, whose
 *     lane ends at another worker's or a socket's thread (`Inbox`).
 *  6. At the end of the batch services get what was gathered for them (`received`, then `settle`), and the consumers'
 *     doorbells ring.
 *
 * The way out begins wherever somebody sends, in any thread: `Egress`, docs/architecture.md.
 */
class QueueWorker {
  readonly stopped: Promise<void>
  readonly #queue: number
  readonly #fd: number
  readonly #messagePort: MessagePort
  readonly #memory: StackMemory
  readonly #counters: CounterPage
  readonly #egress: Egress
  readonly #loop: EventLoop
  readonly #reader: Reader
  readonly #inbox: Inbox
  readonly #host: ServiceHost
  /** What this thread says to the log. */
  readonly #repeats: Repeats
  readonly #loading = new Set<Promise<void>>()
  readonly #read = () => this.#reader.read(this.#loop.now)
  #stopping = false
  #resolve!: () => void

  constructor({ queue, shared, messagePort }: QueueTask) {
    this.stopped = new Promise(resolve => {
      this.#resolve = resolve
    })
    this.#queue = queue
    this.#fd = shared.device.queues[queue]
    this.#messagePort = messagePort
    const memory = new StackMemory(shared)
    const counters = memory.counters(queue)
    const egress = new Egress(memory, counters)
    const loop = new EventLoop(new Heartbeat(shared.beats, queue), shared.options.coalesceUs)
    const acks = new AckSchedule(memory.flows, egress)
    this.#memory = memory
    this.#counters = counters
    this.#egress = egress
    this.#loop = loop
    this.#repeats = new Repeats(event => this.#post({ kind: 'log', ...event }))
    const report = (message: Report) => this.#report(message)
    const host = new ServiceHost({ queue, queues: shared.device.queues.length, memory, counters, egress, loop, report })
    this.#host = host
    this.#reader = new Reader(
      { queue, memory, counters, egress },
      {
        report,
        owesAck: slot => acks.owes(slot),
        after: (ms, act) => loop.after(ms, act),
        deliver: (flow, span) => host.deliver(flow, span),
        settle: () => host.settle(),
        failed: result => this.#readFailed(result),
      },
    )
    this.#inbox = new Inbox(memory.bell(queue), this.#lanesFromOthers(), (...delivery) => this.#delivered(...delivery))
    loop.watch(this.#fd, this.#read)
    loop.watchBell(this.#inbox.bell.fd, () => this.#inbox.wake())
    loop.every(ackTickMs, () => acks.tick(loop.now))
    loop.turn()
    messagePort.on('message', (order: Order) => this.#obey(order))
    report({ kind: 'ready', thread: Number(basename(readlinkSync('/proc/thread-self'))) })
  }

  /** A packet of a flow that lives here may arrive on any queue: what the other workers read of ours. */
  #lanesFromOthers(): LaneReader[] {
    const others = this.#memory.shared.device.queues.map((_, other) => other).filter(other => other !== this.#queue)
    return others.map(other => this.#memory.laneFrom(other, this.#queue))
  }

  #delivered(lane: LaneReader, flow: FlowId, span: Span): void {
    const { at } = span
    try {
      this.#host.deliver(flow, span)
      this.#host.settle()
    } finally {
      lane.release(at)
    }
  }

  #report(report: Report): void {
    if (report.kind === 'log') this.#repeats.add(report)
    else this.#post(report)
  }

  #post(report: Report): void {
    this.#messagePort.postMessage(report)
  }

  /** EIO: the interface is down and may come up again. Anything else means that the queue is gone for good. */
  #readFailed(result: number): void {
    this.#counters[Counter.deviceGone] += 1
    this.#loop.unwatch(this.#fd)
    if (result === -Errno.EIO) this.#loop.after(downMs, () => this.#loop.watch(this.#fd, this.#read))
    else this.#post({ kind: 'deviceGone', errno: result })
  }

  #obey(order: Order): void {
    // A closed port still delivers what had come: nothing may begin any more.
    if (this.#stopping) return
    this.#loop.turn()
    switch (order.kind) {
      case 'opened':
        this.#opened(order)
        break
      case 'connected':
        this.#connected(order)
        break
      case 'turnedDown':
        this.#reader.turnedDown(order.key, order.reset)
        break
      case 'connectFailed':
        this.#host.connectFailed(order.service, order.token, order)
        break
      case 'purge':
        this.#purge(order.gone)
        break
      case 'fence':
        this.#post({ kind: 'fence', id: order.id })
        break
      case 'serve':
        this.#serve(order)
        break
      case 'stop':
        this.#stop()
        break
      default:
        order satisfies never
    }
  }

  /** The flow's service hears of it first, then comes what was held while the coordinator made it. */
  #opened({ slot, generation, key }: Extract<Order, { kind: 'opened' }>): void {
    const { flows } = this.#memory
    const flow = { slot, generation }
    if (flows.alive(flow) && flows.load(slot, Field.consumer) === this.#queue) this.#host.opened(flow)
    if (key !== undefined) this.#reader.opened(key, flow, this.#loop.now)
  }

  /** A service always hears what became of its `connect`, also when the connection is gone by now. */
  #connected({ slot, generation, service, token }: Extract<Order, { kind: 'connected' }>): void {
    const flow = this.#host.opened({ slot, generation })
    if (flow === undefined) this.#host.connectFailed(service, token, endedAtOnce)
  }

  #purge(gone: Int32Array): void {
    for (let i = 0; i < gone.length; i += 3) {
      this.#host.closed({ slot: gone[i], generation: gone[i + 1] }, closeReasons[gone[i + 2]])
    }
  }

  #serve(order: Extract<Order, { kind: 'serve' }>): void {
    const { id } = order
    const { heartbeat } = this.#loop
    const served = (error?: { message: string; code: AnyErrorCode }) =>
      this.#post({ kind: 'served', id, ...(error && { error }) })
    // Modules take what time they like to load.
    heartbeat.pause()
    const loading = this.#host
      .serve(order)
      .finally(() => {
        heartbeat.resume(native.clock())
        this.#loading.delete(loading)
      })
      .then(
        () => served(),
        (error: Error) => {
          const code = error instanceof FakeTcpError ? error.code : ErrorCode.WORKER
          served({ message: error.message, code })
        },
      )
    this.#loading.add(loading)
  }

  #stop(): void {
    this.#stopping = true
    this.#reader.close()
    this.#host.stop()
    this.#repeats.flush()
    this.#loop.close()
    this.#inbox.close()
    this.#egress.close()
    // A thread that ends while it reads a module leaves the file open.
    void Promise.all(this.#loading).then(() => {
      this.#messagePort.close()
      this.#resolve()
    })
  }
}
