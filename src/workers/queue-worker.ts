import { readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import type { MessagePort } from 'node:worker_threads'
import { ErrorCode } from '../errors.js'
import { Repeats } from '../log/repeats.js'
import { Counter, type CounterPage } from '../memory/counters.js'
import { Field } from '../memory/flow-table.js'
import { type LaneWriter, readRoom } from '../memory/lane.js'
import { type SharedStack, StackMemory } from '../memory/shared-stack.js'
import { Errno, native, type Poller, Ready, watch } from '../native.js'
import { AckSchedule } from '../path/ack-schedule.js'
import { Coalescer } from '../path/coalescer.js'
import { Egress } from '../path/egress.js'
import { Inbound } from '../path/inbound.js'
import { Inbox } from '../path/inbox.js'
import type { Order, Report } from '../path/messages.js'
import { Classifier, type Segment } from '../path/segment.js'
import { Heartbeat } from './heartbeat.js'
import type { PollHandler } from './service.js'
import { ServiceHost } from './service-host.js'

/** What piscina hands to a worker: the task runs until the coordinator says stop. */
export interface QueueTask {
  readonly queue: number
  readonly shared: SharedStack
  readonly port: MessagePort
}

/** Packets read in one wake before the event loop gets its turn. */
const readBudget = 64
/** Room for a batch of plain packets, or for several super-packets. */
const readArena = 1024 * 1024
const ackTickMs = 250

const endedAtOnce = { code: ErrorCode.CLOSED, message: 'The peer took the connection and ended it at once.' } as const

const Token = { tun: 0, bell: 1, timer: 2, first: 3 } as const

export default function run(task: QueueTask): Promise<void> {
  return new QueueWorker(task).stopped
}

/** Memory that packets are read into. */
interface ReadMemory {
  readonly arena: number
  readonly bytes: Uint8Array
  readonly at: number
  readonly end: number
}

/** One TUN queue: reads it, takes its packets through `Inbound`, hosts services, obeys the coordinator. */
class QueueWorker {
  readonly stopped: Promise<void>
  readonly #queue: number
  readonly #fd: number
  readonly #port: MessagePort
  readonly #memory: StackMemory
  readonly #counters: CounterPage
  readonly #egress: Egress
  readonly #inbound: Inbound
  readonly #inbox: Inbox
  readonly #acks: AckSchedule
  readonly #heartbeat: Heartbeat
  readonly #host: ServiceHost
  /** What this thread says to the log. */
  readonly #repeats: Repeats
  readonly #poller: Poller
  readonly #events = new Int32Array(128)
  /** For what stays in this worker; packets for another thread are read into the lane to it. */
  readonly #own: ReadMemory
  /** Pairs (offset, length), then the packets' sums. */
  readonly #packets = new Int32Array(readBudget * 3)
  /** Where nobody has summed packets yet, `readBatch` does while they are in the cache; -1: the virtio-net header tells. */
  readonly #sumsAt: number
  readonly #packetsArena: number
  readonly #readQueue = () => this.#read()
  /** By consumer, as they are needed; none to ourselves. */
  readonly #lanes: (LaneWriter | undefined)[] = []
  /** Lane of the last packet's consumer. The next packets probably have the same one, so they are read straight into this lane. */
  #last: LaneWriter | undefined
  /** The lane that packets are being read into; none: our own memory. */
  #reading: LaneWriter | undefined
  readonly #coalescer: Coalescer | undefined
  readonly #handlers = new Map<number, { fd: number; handle: PollHandler }>()
  readonly #tokens = new Map<number, number>()
  readonly #timers: NodeJS.Timeout[] = []
  readonly #loading = new Set<Promise<void>>()
  readonly #once = new Set<NodeJS.Timeout>()
  #stopping = false
  #nextToken: number = Token.first
  #now = native.clock()
  #resolve!: () => void

  constructor({ queue, shared, port }: QueueTask) {
    this.stopped = new Promise(resolve => {
      this.#resolve = resolve
    })
    this.#queue = queue
    this.#fd = shared.device.queues[queue]
    this.#port = port
    this.#sumsAt = shared.device.virtioSize === 0 ? readBudget * 2 : -1
    const memory = new StackMemory(shared)
    this.#memory = memory
    this.#counters = memory.counters(queue)
    const bytes = new Uint8Array(readArena)
    this.#own = { arena: native.arenaOpen(bytes), bytes, at: 0, end: readArena }
    this.#packetsArena = native.arenaOpen(new Uint8Array(this.#packets.buffer))
    this.#egress = new Egress(memory, this.#counters)
    this.#acks = new AckSchedule(memory.flows, this.#egress)
    this.#heartbeat = new Heartbeat(shared.beats, queue)
    this.#repeats = new Repeats(event => port.postMessage({ kind: 'log', ...event } satisfies Report))
    const report = (message: Report) => {
      if (message.kind === 'log') return this.#repeats.add(message)
      // Datagrams that came before the RST must be there when the coordinator looks for them.
      if (message.kind === 'reset') for (const lane of this.#lanes) lane?.flush()
      port.postMessage(message)
    }
    this.#inbound = new Inbound(queue, memory, this.#counters, new Classifier(shared), this.#egress, {
      deliver: (slot, generation, s) => this.#deliver(slot, generation, s),
      owesAck: slot => this.#acks.owes(slot),
      after: (ms, act) => this.#after(ms, act),
      report,
    })
    this.#host = new ServiceHost({
      queue,
      queues: shared.device.queues.length,
      flows: memory.flows,
      counters: this.#counters,
      egress: this.#egress,
      now: () => this.#now,
      poll: (fd, interest, handler) => this.#poll(fd, interest, handler),
      unpoll: fd => this.#unpoll(fd),
      every: (ms, tick) => this.#every(ms, tick),
      after: (ms, act) => this.#after(ms, act),
      report,
    })
    const others = shared.device.queues.map((_, other) => other).filter(other => other !== queue)
    this.#inbox = new Inbox(
      memory.bell(queue),
      others.map(other => memory.laneFrom(other, queue)),
      (lane, slot, generation, segmentSize, at, length) => {
        try {
          this.#host.deliver(slot, generation, lane.arena, lane.bytes, at, length, segmentSize)
          this.#host.settle()
        } finally {
          lane.release(at)
        }
      },
    )
    const events = native.arenaOpen(new Uint8Array(this.#events.buffer))
    this.#poller = new native.Poller(events, this.#events.length / 2, count => this.#wake(count))
    if (shared.coalesceUs > 0) {
      this.#coalescer = new Coalescer(this.#poller, shared.coalesceUs)
      watch(this.#poller, this.#coalescer.timer, Token.timer, Ready.read)
    }
    watch(this.#poller, this.#fd, Token.tun, Ready.read)
    watch(this.#poller, this.#inbox.bell.fd, Token.bell, Ready.read)
    this.#every(ackTickMs, () => this.#acks.tick(this.#now))
    this.#heartbeat.beat(this.#now)
    port.on('message', (order: Order) => this.#obey(order))
    report({ kind: 'ready', thread: Number(basename(readlinkSync('/proc/thread-self'))) })
  }

  /** Starts a turn: takes the time and tells the watchdog. Every callback calls it first. */
  #turn(): void {
    this.#now = native.clock()
    this.#heartbeat.beat(this.#now)
  }

  #wake(count: number): void {
    this.#turn()
    for (let i = 0; i < count; i++) {
      const token = this.#events[i * 2]
      if (token === Token.bell) this.#inbox.wake()
      else if (token === Token.timer) this.#coalescer?.tick()
      else if (token === Token.tun) {
        this.#read()
        this.#coalescer?.wait(this.#fd, token, this.#readQueue)
      } else this.#handle(token, this.#events[i * 2 + 1])
    }
  }

  #handle(token: number, events: number): void {
    const handler = this.#handlers.get(token)
    if (handler === undefined) return
    const { fd, handle } = handler
    handle(events)
    // It may have stopped to poll just now.
    if (this.#handlers.has(token)) this.#coalescer?.wait(fd, token, () => handle(Ready.read))
  }

  /** Whether there was anything. */
  #read(): boolean {
    const any = this.#readMany()
    this.#settle()
    return any
  }

  #readMany(): boolean {
    const packets = this.#packets
    const sumsAt = this.#sumsAt
    for (let left = readBudget; left > 0; ) {
      this.#reading = this.#last?.makeRoom() ? this.#last : undefined
      const { arena, at, end, bytes } = this.#reading ?? this.#own
      const count = native.readBatch(this.#fd, arena, at, end, readRoom, this.#packetsArena, 0, left, sumsAt)
      if (count < 0) {
        this.#readFailed(count)
        return true
      }
      for (let i = 0; i < count; i++) {
        const sum = sumsAt < 0 ? -1 : packets[sumsAt + i]
        this.#inbound.packet(bytes, arena, packets[i * 2], packets[i * 2 + 1], this.#now, sum)
      }
      this.#settle(true)
      const last = packets[count * 2 - 2] + packets[count * 2 - 1]
      // Stopped by the end of a block, not of the queue: there is more.
      if (count === 0 || this.#reading === undefined || end - last >= readRoom + 64) {
        return count > 0 || left < readBudget
      }
      left -= count
    }
    return true
  }

  /** What was gathered goes off: the memory that it lies in is about to be used again. `more`: the next packets are read at once. */
  #settle(more = false): void {
    this.#host.settle()
    for (const lane of this.#lanes) lane?.settle(more)
  }

  /** EIO: the interface is down and may come up again. Anything else means that the queue is gone for good. */
  #readFailed(result: number): void {
    this.#counters[Counter.deviceGone] += 1
    this.#coalescer?.forget(this.#fd)
    this.#poller.remove(this.#fd)
    if (result === -Errno.EIO) {
      const again = () => {
        if (!this.#stopping) watch(this.#poller, this.#fd, Token.tun, Ready.read)
      }
      setTimeout(again, 100).unref()
    } else {
      this.#port.postMessage({ kind: 'deviceGone', errno: result } satisfies Report)
    }
  }

  #deliver(slot: number, generation: number, s: Segment): void {
    const { arena, bytes } = this.#reading ?? this.#own
    const consumer = this.#memory.flows.load(slot, Field.consumer)
    if (consumer === this.#queue) {
      // The service looks at these bytes only later: nothing may move over them.
      this.#reading?.flush()
      this.#host.deliver(slot, generation, arena, bytes, s.payloadAt, s.payloadLength, s.segmentSize)
      this.#last = undefined
      return
    }
    const lane = this.#laneTo(consumer)
    this.#last = lane
    if (lane.put(slot, generation, s.segmentSize, arena, s.payloadAt, s.payloadLength)) return
    const lost = Math.ceil(s.payloadLength / s.segmentSize)
    this.#counters[Counter.consumerRingFull] += lost
    this.#memory.flows.bump(slot, Field.overflow, lost)
  }

  #laneTo(consumer: number): LaneWriter {
    const known = this.#lanes[consumer]
    if (known !== undefined) return known
    const lane = this.#memory.laneTo(consumer, this.#queue)
    this.#lanes[consumer] = lane
    return lane
  }

  #obey(order: Order): void {
    // A closed port still delivers what had come: nothing may begin any more.
    if (this.#stopping) return
    this.#turn()
    switch (order.kind) {
      case 'opened':
        this.#opened(order.slot, order.generation, order.key)
        break
      case 'connected':
        this.#connected(order)
        break
      case 'turnedDown': {
        const opening = this.#inbound.openings.finish(order.key)
        if (opening !== undefined && order.reset) {
          this.#egress.refuse(this.#queue, opening.tuple, opening.ack, opening.seq)
        }
        break
      }
      case 'connectFailed':
        this.#host.connectFailed(order.service, order.token, order)
        break
      case 'purge':
        for (let i = 0; i < order.gone.length; i += 3) {
          this.#host.closed(order.gone[i], order.gone[i + 1], order.gone[i + 2] as 0)
        }
        break
      case 'fence':
        this.#port.postMessage({ kind: 'fence', id: order.id } satisfies Report)
        break
      case 'serve':
        this.#serve(order)
        break
      case 'stop':
        this.#stop()
    }
  }

  #serve({ id, url, data }: Extract<Order, { kind: 'serve' }>): void {
    const served = (error?: { message: string; code: string }) =>
      this.#port.postMessage({ kind: 'served', id, ...(error && { error }) } satisfies Report)
    // Modules take what time they like to load.
    this.#heartbeat.pause()
    const loading = this.#host
      .serve(id, url, data)
      .finally(() => {
        this.#heartbeat.resume(native.clock())
        this.#loading.delete(loading)
      })
      .then(
        () => served(),
        ({ message, code }: Error & { code?: string }) => served({ message, code: code ?? '' }),
      )
    this.#loading.add(loading)
  }

  /** A service always hears what became of its `connect`, also when the connection is gone by now. */
  #connected({ slot, generation, service, token }: Extract<Order, { kind: 'connected' }>): void {
    if (this.#host.opened(slot, generation) === undefined) this.#host.connectFailed(service, token, endedAtOnce)
  }

  #opened(slot: number, generation: number, key: string | undefined): void {
    const { flows } = this.#memory
    if (flows.alive(slot, generation) && flows.load(slot, Field.consumer) === this.#queue) {
      this.#host.opened(slot, generation)
    }
    const opening = key === undefined ? undefined : this.#inbound.openings.finish(key)
    if (opening === undefined) return
    this.#inbound.replay(opening, slot, generation, this.#now, (held, s) => {
      // Nothing lies in our own memory between two wakes.
      this.#settle()
      this.#reading = undefined
      this.#own.bytes.set(held)
      s.payloadAt = 0
    })
    this.#settle()
  }

  #poll(fd: number, interest: number, handle: PollHandler): number {
    const token = this.#nextToken++
    const result = this.#poller.add(fd, token, interest)
    if (result < 0) return result
    this.#handlers.set(token, { fd, handle })
    this.#tokens.set(fd, token)
    return 0
  }

  #unpoll(fd: number): void {
    const token = this.#tokens.get(fd)
    if (token === undefined) return
    this.#tokens.delete(fd)
    this.#handlers.delete(token)
    this.#coalescer?.forget(fd)
    this.#poller.remove(fd)
  }

  #every(ms: number, tick: () => void): void {
    const timer = setInterval(() => {
      this.#turn()
      tick()
    }, ms)
    this.#timers.push(timer)
  }

  #after(ms: number, act: (now: number) => void): void {
    const timer = setTimeout(() => {
      this.#once.delete(timer)
      this.#turn()
      act(this.#now)
    }, ms)
    this.#once.add(timer)
  }

  #stop(): void {
    this.#stopping = true
    for (const timer of this.#timers) clearInterval(timer)
    for (const timer of this.#once) clearTimeout(timer)
    // No answer comes any more: these peers take their connection for open, and must hear that it isn't.
    for (const { tuple, seq, ack } of this.#inbound.openings.finishAll()) {
      this.#egress.refuse(this.#queue, tuple, ack, seq)
    }
    this.#host.stop()
    this.#repeats.flush()
    this.#poller.close()
    this.#coalescer?.close()
    this.#inbox.close()
    this.#egress.close()
    // A thread that ends while it reads a module leaves the file open.
    void Promise.all(this.#loading).then(() => {
      this.#port.close()
      this.#resolve()
    })
  }
}
