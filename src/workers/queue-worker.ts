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

/** What piscina passes to a queue worker. The task runs until the coordinator orders `stop`. */
export interface QueueTask {
  readonly queue: number
  readonly shared: SharedStack
  /** To the coordinator, which has the other end. */
  readonly messagePort: MessagePort
}

/** Milliseconds between two looks for late ACKs that are due. */
const ackTickMs = 250
/** Milliseconds after which an interface that is down is read again. */
const downMs = 100

const endedAtOnce = { code: ErrorCode.CLOSED, message: 'The peer took the connection and ended it at once.' } as const

export default function run(task: QueueTask): Promise<void> {
  return new QueueWorker(task).stopped
}

/**
 * The thread that reads one TUN queue. The way of a packet that arrives on it:
 *
 *  1. The kernel reports to `EventLoop` that the queue is readable, and a turn begins.
 *  2. `Reader` reads a batch of packets, straight into the lane of the consumer that got the last one.
 *  3. `Inbound` handles them one by one. `Classifier` checks and parses each. `TupleCache` and `TupleIndex` find its
 *     flow.
 *  4. `Inbound` moves the flow's numbers, and sends an ACK by `Egress` if one is due. A packet that belongs to no flow
 *     is answered or dropped, and every dropped packet is counted. A handshake that proved its cookie is reported to
 *     the coordinator.
 *  5. `Reader` hands the datagrams on: to `ServiceHost` if a service of this worker has the flow, else to `LaneWriter`,
 *     whose lane leads to the `Inbox` of another thread.
 *  6. At the end of the batch services get what was gathered for them (`received`, then `settle`), and the doorbells of
 *     other consumers ring.
 *
 * Any thread may send a datagram; for its way out see `Egress` and docs/architecture.md.
 */
class QueueWorker {
  /** Resolves when the worker has obeyed `stop`. */
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
  /** Folds this thread's log events before they go to the coordinator. */
  readonly #repeats: Repeats
  /** Services whose modules are being loaded. */
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

  /** The lanes from all other workers: a packet of a flow that this worker consumes may arrive on any queue. */
  #lanesFromOthers(): LaneReader[] {
    const others = this.#memory.shared.device.queues.map((_, other) => other).filter(other => other !== this.#queue)
    return others.map(other => this.#memory.laneFrom(other, this.#queue))
  }

  /** Datagrams that another worker read, of a flow that this worker consumes. */
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

  /** A read failed. EIO: the interface is down, and may come up again. Any other error: the queue is gone for good. */
  #readFailed(result: number): void {
    this.#counters[Counter.deviceGone] += 1
    this.#loop.unwatch(this.#fd)
    if (result === -Errno.EIO) this.#loop.after(downMs, () => this.#loop.watch(this.#fd, this.#read))
    else this.#post({ kind: 'deviceGone', errno: result })
  }

  #obey(order: Order): void {
    // A message port delivers what had come before it was closed. A worker that stops begins nothing any more.
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

  /** The flow's service is told first. Then it gets what was held while the coordinator made the flow. */
  #opened({ slot, generation, key }: Extract<Order, { kind: 'opened' }>): void {
    const { flows } = this.#memory
    const flow = { slot, generation }
    if (flows.alive(flow) && flows.load(slot, Field.consumer) === this.#queue) this.#host.opened(flow)
    if (key !== undefined) this.#reader.opened(key, flow, this.#loop.now)
  }

  /** A service always hears what became of its `connect`, even if the connection has ended by now. */
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
    // A module may take longer to load than the watchdog allows a worker.
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
    // A thread that ends while it reads a module would leave the file open.
    void Promise.all(this.#loading).then(() => {
      this.#messagePort.close()
      this.#resolve()
    })
  }
}
