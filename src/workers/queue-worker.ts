import type { MessagePort } from 'node:worker_threads'
import { Counter, type CounterPage } from '../memory/counters.js'
import { Field } from '../memory/flow-table.js'
import type { PacketRing } from '../memory/packet-ring.js'
import { Errno, native, type Poller, Ready } from '../native.js'
import { AckSchedule } from './ack-schedule.js'
import { Delivery } from './delivery.js'
import { Egress } from './egress.js'
import { Inbound } from './inbound.js'
import { Inbox } from './inbox.js'
import type { Order, Report } from './messages.js'
import { Classifier, type Segment } from './segment.js'
import { ServiceHost } from './service-host.js'
import { type SharedStack, StackMemory } from './shared-stack.js'

/** What piscina hands to a worker: the task runs until the coordinator says stop. */
export interface QueueTask {
  readonly queue: number
  readonly shared: SharedStack
  readonly port: MessagePort
}

/** Packets read in one wake before the event loop gets its turn. */
const readBudget = 64
/** A whole super-packet with its virtio-net header must fit behind every read, or the kernel cuts it silently. */
const readRoom = 65_535 + 12
/** Room for a batch of plain packets, or for several super-packets. */
const readArena = 1024 * 1024
/** Bytes taken from each ring of another worker in one wake. */
const inboxBudget = 1024 * 1024
const ackTickMs = 250

const Token = { tun: 0, bell: 1, first: 2 } as const

export default function run(task: QueueTask): Promise<void> {
  return new QueueWorker(task).stopped
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
  readonly #host: ServiceHost
  readonly #poller: Poller
  readonly #events = new Int32Array(128)
  readonly #bytes = new Uint8Array(readArena)
  readonly #arena: number
  readonly #packets = new Int32Array(readBudget * 2)
  readonly #packetsArena: number
  readonly #rings: { ring: PacketRing; arena: number; ringBell: () => boolean }[] = []
  readonly #handlers = new Map<number, (events: number) => void>()
  readonly #tokens = new Map<number, number>()
  readonly #timers: NodeJS.Timeout[] = []
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
    const memory = new StackMemory(shared)
    this.#memory = memory
    this.#counters = memory.counters(queue)
    this.#arena = native.arenaOpen(this.#bytes)
    this.#packetsArena = native.arenaOpen(new Uint8Array(this.#packets.buffer))
    this.#egress = new Egress(memory, this.#counters)
    this.#acks = new AckSchedule(memory.flows, this.#egress)
    const report = (message: Report) => port.postMessage(message)
    this.#inbound = new Inbound(queue, memory, this.#counters, new Classifier(shared), this.#egress, {
      deliver: (slot, generation, s) => this.#deliver(slot, generation, s),
      owesAck: slot => this.#acks.owes(slot),
      report,
    })
    for (let consumer = 0; consumer < memory.threads; consumer++) {
      const ring = memory.ring(queue, consumer)
      const bell = memory.bell(consumer)
      this.#rings[consumer] = { ring, arena: native.arenaOpen(ring.bytes), ringBell: () => bell.ring() }
    }
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
      report,
    })
    const others = shared.device.queues.map((_, other) => other).filter(other => other !== queue)
    this.#inbox = new Inbox(
      memory.bell(queue),
      others.map(other => memory.ring(other, queue)),
      (source, slot, generation, segmentSize, at, length) => {
        this.#host.deliver(slot, generation, source.arena, source.ring.bytes, at, length, segmentSize)
        this.#host.settle()
      },
    )
    const events = native.arenaOpen(new Uint8Array(this.#events.buffer))
    this.#poller = new native.Poller(events, this.#events.length / 2, count => this.#wake(count))
    this.#poller.add(this.#fd, Token.tun, Ready.read)
    this.#poller.add(this.#inbox.bell.fd, Token.bell, Ready.read)
    this.#every(ackTickMs, () => this.#acks.tick(this.#now))
    port.on('message', (order: Order) => this.#obey(order))
    report({ kind: 'ready' })
  }

  #wake(count: number): void {
    this.#now = native.clock()
    for (let i = 0; i < count; i++) {
      const token = this.#events[i * 2]
      if (token === Token.tun) this.#read()
      else if (token === Token.bell) this.#inbox.wake(inboxBudget)
      else this.#handlers.get(token)?.(this.#events[i * 2 + 1])
    }
  }

  #read(): void {
    const packets = this.#packets
    const count = native.readBatch(this.#fd, this.#arena, 0, readArena, readRoom, this.#packetsArena, 0, readBudget)
    if (count < 0) {
      this.#readFailed(count)
      return
    }
    for (let i = 0; i < count; i++) {
      this.#inbound.packet(this.#bytes, this.#arena, packets[i * 2], packets[i * 2 + 1], this.#now)
    }
    this.#host.settle()
  }

  /** EIO: the interface is down and may come up again. Anything else means that the queue is gone for good. */
  #readFailed(result: number): void {
    this.#counters[Counter.deviceGone] += 1
    this.#poller.remove(this.#fd)
    if (result === -Errno.EIO) {
      setTimeout(() => this.#poller.add(this.#fd, Token.tun, Ready.read), 100).unref()
    } else {
      this.#port.postMessage({ kind: 'deviceGone', errno: result } satisfies Report)
    }
  }

  #deliver(slot: number, generation: number, s: Segment): void {
    const consumer = this.#memory.flows.load(slot, Field.consumer)
    if (consumer === this.#queue) {
      this.#host.deliver(slot, generation, this.#arena, this.#bytes, s.payloadAt, s.payloadLength, s.segmentSize)
      return
    }
    const { ring, arena, ringBell } = this.#rings[consumer]
    const at = ring.reserve(Delivery.headerBytes + s.payloadLength)
    if (at < 0) {
      const lost = Math.ceil(s.payloadLength / s.segmentSize)
      this.#counters[Counter.consumerRingFull] += lost
      this.#memory.flows.bump(slot, Field.overflow, lost)
      return
    }
    const word = at >> 2
    ring.words[word + Delivery.slot] = slot
    ring.words[word + Delivery.generation] = generation
    ring.words[word + Delivery.segmentSize] = s.segmentSize
    native.copy(arena, at + Delivery.headerBytes, this.#arena, s.payloadAt, s.payloadLength)
    ring.commit()
    ringBell()
  }

  #obey(order: Order): void {
    this.#now = native.clock()
    switch (order.kind) {
      case 'opened':
        this.#opened(order.slot, order.generation, order.key)
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
      case 'serve':
        this.#host.serve(order.id, order.url, order.data).then(
          () => this.#port.postMessage({ kind: 'served', id: order.id } satisfies Report),
          (error: Error & { code?: string }) =>
            this.#port.postMessage({
              kind: 'served',
              id: order.id,
              error: { message: error.message, code: error.code ?? '' },
            } satisfies Report),
        )
        break
      case 'stop':
        this.#stop()
    }
  }

  #opened(slot: number, generation: number, key: string | undefined): void {
    const { flows } = this.#memory
    if (flows.alive(slot, generation) && flows.load(slot, Field.consumer) === this.#queue) {
      this.#host.opened(slot, generation)
    }
    const opening = key === undefined ? undefined : this.#inbound.openings.finish(key)
    if (opening === undefined) return
    this.#inbound.replay(opening, slot, generation, this.#now, (held, s) => {
      // Nothing lies in the read arena between two wakes.
      this.#host.settle()
      this.#bytes.set(held)
      s.payloadAt = 0
    })
    this.#host.settle()
  }

  #poll(fd: number, interest: number, handler: (events: number) => void): number {
    const token = this.#nextToken++
    const result = this.#poller.add(fd, token, interest)
    if (result < 0) return result
    this.#handlers.set(token, handler)
    this.#tokens.set(fd, token)
    return 0
  }

  #unpoll(fd: number): void {
    const token = this.#tokens.get(fd)
    if (token === undefined) return
    this.#tokens.delete(fd)
    this.#handlers.delete(token)
    this.#poller.remove(fd)
  }

  #every(ms: number, tick: () => void): void {
    const timer = setInterval(() => {
      this.#now = native.clock()
      tick()
    }, ms)
    this.#timers.push(timer)
  }

  #stop(): void {
    for (const timer of this.#timers) clearInterval(timer)
    // No answer comes any more: these peers take their connection for open, and must hear that it isn't.
    for (const { tuple, seq, ack } of this.#inbound.openings.finishAll()) {
      this.#egress.refuse(this.#queue, tuple, ack, seq)
    }
    this.#host.stop()
    this.#poller.close()
    this.#inbox.close()
    this.#egress.close()
    this.#port.close()
    this.#resolve()
  }
}
