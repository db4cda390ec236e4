import t, { type Test } from 'tap'
import { Delivery } from '../../src/memory/delivery-ring.js'
import { Field, type FlowId } from '../../src/memory/flow-table.js'
import { type SharedStack, StackMemory } from '../../src/memory/shared-stack.js'
import { Span } from '../../src/memory/span.js'
import { native } from '../../src/native.js'
import { Egress } from '../../src/path/egress.js'
import type { Report } from '../../src/path/messages.js'
import { Reader, type ReaderHooks } from '../../src/workers/reader.js'
import { counting, difference, pattern } from '../support/datagrams.js'
import { summary } from '../support/emitted.js'
import { blockBytes, mostDeliveries } from '../support/lanes.js'
import { MemoryStack, type MemoryStackOptions } from '../support/memory-stack.js'
import { failure } from '../support/native.js'
import { ACK, type FrameFields, frame, localPort, ports, RST, remotePort, SYN } from '../support/packets.js'

/** The threads of a stack with two queues. The reader under test is worker 0's. */
const [worker, otherWorker, mainThread] = [0, 1, 2] as const

/** Bytes of the headers in front of a payload, without a virtio-net header; packets are read to multiples of a cache line. */
const headers = 40
const cacheLine = 64

/** Packets that one wake reads at most. */
const readBudget = 64

/** One delivery as its consumer finds it in its lane. */
interface Delivered {
  readonly slot: number
  readonly at: number
  readonly payload: Uint8Array
}

/** Consumer of a lane from worker 0: what waits in it is looked at, and given back unless it is kept. */
class Consumer {
  readonly #lane
  readonly #stack: MemoryStack
  readonly #thread: number

  constructor(stack: MemoryStack, thread: number) {
    this.#stack = stack
    this.#thread = thread
    this.#lane = stack.memory.laneFrom(worker, thread)
    stack.memory.bell(thread).arm()
  }

  get bytes(): Uint8Array {
    return this.#lane.bytes
  }

  take(): Delivered[] {
    const { ring, bytes } = this.#lane
    const found: Delivered[] = []
    for (let record = ring.peek(); record >= 0; record = ring.peek()) {
      const at = ring.words[record + Delivery.at]
      const length = ring.words[record + Delivery.length]
      found.push({ slot: ring.words[record + Delivery.slot], at, payload: bytes.slice(at, at + length) })
      ring.release()
      this.#lane.release(at)
    }
    return found
  }

  /** How often it was woken since the last look. */
  wakes(): number {
    const { memory, shared } = this.#stack
    const count = native.eventDrain(shared.bellFds[this.#thread])
    memory.bell(this.#thread).arm()
    return Math.max(0, count)
  }

  close(): void {
    this.#lane.close()
  }
}

interface Options extends MemoryStackOptions {
  hooks?: Partial<ReaderHooks>
  /** What the reader sees of the stack. */
  seen?: (shared: SharedStack) => SharedStack
}

const open = (t: Test, { hooks = {}, seen = shared => shared, ...options }: Options = {}) => {
  const stack = new MemoryStack({ queues: 2, ...options })
  const memory = new StackMemory(seen(stack.shared))
  const counters = memory.counters(worker)
  const egress = new Egress(memory, counters)
  const reports: Report[] = []
  const reader = new Reader(
    { queue: worker, memory, counters, egress },
    {
      report: report => reports.push(report),
      owesAck: () => {},
      after: () => t.fail('nothing is put off here'),
      deliver: () => t.fail('a datagram for a service of this worker'),
      settle: () => {},
      failed: result => t.fail(`read: ${result}`),
      ...hooks,
    },
  )
  const main = new Consumer(stack, mainThread)
  const other = new Consumer(stack, otherWorker)
  t.teardown(() => {
    reader.close()
    for (const consumer of [main, other]) consumer.close()
    egress.close()
    stack.close()
  })
  let flows = 0
  /** The next sequence number of each flow, by slot. */
  const next: number[] = []
  const { virtioSize } = stack.shared.device
  const arrive = (fields: FrameFields): void => {
    const bytes = frame({ virtioSize, ...fields })
    if (native.write(stack.peers[worker], bytes, 0, bytes.length) !== bytes.length) throw new Error('the pair is full')
  }
  return {
    stack,
    reader,
    reports,
    main,
    other,
    read: () => reader.read(1_000_000),
    arrive,
    /** A flow that this thread consumes, each from a remote port of its own. */
    add(consumer: number): FlowId {
      const number = flows++
      return stack.add({ consumer, ports: ports + (number << 16) })
    },
    /** A datagram of a flow comes, or equal ones as one super-packet. */
    data({ slot }: FlowId, payload: ArrayLike<number>, gsoSize = 0): void {
      const seq = next[slot] ?? 5000
      next[slot] = seq + payload.length
      const virtio = gsoSize > 0 ? { gsoType: 1, gsoSize } : {}
      arrive({ sourcePort: remotePort + slot, seq, ack: 1000, payload, virtio })
    },
    /** The peer ends a flow. */
    reset({ slot }: FlowId): void {
      arrive({ sourcePort: remotePort + slot, seq: next[slot] ?? 5000, ack: 1000, flags: RST | ACK })
    },
  }
}

const payloadsOf = (found: readonly Delivered[]): Uint8Array[] => found.map(({ payload }) => payload)

/** Whether a payload lies where a packet was read to, behind its headers: nobody has copied it. */
const isWhereItWasRead = (at: number): boolean => at % cacheLine === headers

t.test('a consumer’s first datagram is copied into its lane, those of later reads are read there', async t => {
  const { add, data, read, main } = open(t)
  const flow = add(mainThread)
  const sent = [0, 1, 2].map(i => pattern(100, i))
  const found: Delivered[] = []
  for (const payload of sent) {
    data(flow, payload)
    t.ok(read())
    found.push(...main.take())
  }
  t.equal(difference(payloadsOf(found), sent), undefined)
  t.strictSame(
    found.map(({ at }) => isWhereItWasRead(at)),
    [false, true, true],
  )
  t.notOk(read(), 'nothing more')
})

t.test('packets are read into the lane of the consumer that got the last one', async t => {
  const { add, data, read, main, other } = open(t)
  const flows = { main: add(mainThread), other: add(otherWorker) }
  data(flows.main, counting(100))
  read()
  main.take()

  data(flows.main, counting(100))
  data(flows.other, counting(50))
  read()
  t.ok(isWhereItWasRead(main.take()[0].at))
  t.strictSame(
    other.take().map(({ payload }) => [...payload]),
    [counting(50)],
    'copied from the other lane',
  )

  data(flows.other, counting(60))
  data(flows.main, counting(70))
  read()
  t.ok(isWhereItWasRead(other.take()[0].at))
  t.notOk(isWhereItWasRead(main.take()[0].at), 'now it is the other way round')
})

t.test('a service’s datagram ends the reading into a lane', async t => {
  const spans: Span[] = []
  const { add, data, read, main } = open(t, {
    hooks: { deliver: (_flow, span) => spans.push(Object.assign(new Span(), span)) },
  })
  const flows = { main: add(mainThread), own: add(worker) }
  const isShared = () => spans.at(-1)!.bytes.buffer instanceof SharedArrayBuffer
  data(flows.own, counting(10))
  read()
  t.notOk(isShared(), 'the worker’s own memory at first')
  data(flows.main, counting(10))
  read()
  data(flows.own, counting(10))
  read()
  t.ok(isShared(), 'the last one went to the main thread')
  data(flows.own, counting(10))
  read()
  t.notOk(isShared())
  main.take()
})

t.test('nothing moves over a service’s datagram before it was settled', async t => {
  const held: { span: Span; wanted: Uint8Array }[] = []
  let settled = 0
  const { add, data, read, main } = open(t, {
    hooks: {
      deliver: (_flow, span) => {
        const { bytes, at, length } = span
        held.push({ span: Object.assign(new Span(), span), wanted: bytes.slice(at, at + length) })
      },
      settle: () => {
        for (const { span, wanted } of held.splice(0)) {
          settled++
          t.strictSame(span.bytes.slice(span.at, span.at + span.length), wanted)
        }
      },
    },
  })
  const [first, second] = [add(mainThread), add(mainThread)]
  const own = add(worker)
  data(first, pattern(100, 0))
  read()
  main.take()
  // In the lane. Datagrams of one flow move up behind each other: the third would, to where the service's lies, when the fourth comes.
  data(first, pattern(100, 1))
  data(own, pattern(100, 2))
  data(first, pattern(100, 3))
  data(second, pattern(100, 4))
  read()
  t.equal(settled, 1)
  t.equal(difference(payloadsOf(main.take()), [pattern(100, 1), pattern(100, 3), pattern(100, 4)]), undefined)
})

t.test('services settle after whatever was read, and also when there was nothing', async t => {
  let settled = 0
  const { add, data, read } = open(t, { hooks: { deliver: () => {}, settle: () => settled++ } })
  read()
  t.ok(settled > 0)
  const before = settled
  data(add(worker), counting(10))
  read()
  t.ok(settled > before)
})

t.test('a full lane drops the datagrams, which are counted and noted at their flow', async t => {
  const { stack, add, data, read, main } = open(t, { virtioSize: 12 })
  const flow = add(mainThread)
  const filler = stack.memory.laneTo(mainThread, worker)
  const span = new Span().over(Uint8Array.of(1), 1)
  for (let slot = 0; slot < mostDeliveries; slot++) {
    if (!filler.put({ slot, generation: 2 }, span)) return t.fail('full too early')
    filler.flush()
  }
  filler.close()
  data(flow, counting(250), 100)
  read()
  t.strictSame(stack.raised(), { datagramsIn: 3, bytesIn: 250, superPacketsIn: 1, consumerRingFull: 3 })
  t.equal(stack.memory.flows.load(flow.slot, Field.overflow), 3)
  data(flow, counting(10))
  read()
  t.equal(stack.memory.flows.load(flow.slot, Field.overflow), 4)
  t.equal(main.take().length, mostDeliveries)
  data(flow, counting(20))
  read()
  t.strictSame(
    main.take().map(({ payload }) => payload.length),
    [20],
    'the reader has gone on',
  )
})

t.test('a RST is reported after the datagrams before it are in the lane', async t => {
  const found: Delivered[] = []
  const { add, data, reset, read, main, other } = open(t, {
    hooks: {
      report: report => {
        if (report.kind === 'reset') found.push(...main.take(), ...other.take())
      },
    },
  })
  const flows = [add(mainThread), add(otherWorker)]
  for (const flow of flows) data(flow, counting(10))
  reset(flows[0])
  read()
  t.strictSame(
    found.map(({ slot }) => slot),
    [flows[0].slot, flows[1].slot],
    'those of every lane',
  )
})

t.test('a wake goes on in the next block of a lane when one is full', async t => {
  const { add, data, read, main } = open(t, { virtioSize: 12 })
  const flow = add(mainThread)
  for (let i = 0; i < 3; i++) {
    data(flow, pattern(60_000, i), 1000)
    read()
  }
  const last = main.take().at(-1)!
  main.wakes()
  // Some 80 KiB of the block are left: enough for one more read, which needs room for a whole super-packet.
  const sent = [3, 4, 5].map(i => pattern(30_000, i))
  for (const payload of sent) data(flow, payload, 1000)
  read()
  const found = main.take()
  t.equal(difference(payloadsOf(found), sent), undefined)
  t.equal(found[0].at, last.at + Math.ceil((60_000 + headers + 12) / cacheLine) * cacheLine, 'behind the last one')
  t.ok(found[1].at >= blockBytes, 'in the next block')
  t.equal(main.wakes(), 1, 'one wake of the consumer for all')
  t.notOk(read())
})

t.test('one wake reads 64 packets at most', async t => {
  const { add, data, read, main } = open(t)
  const flow = add(mainThread)
  for (let i = 0; i < readBudget + 6; i++) data(flow, counting(10, i))
  const bytes = () => main.take().reduce((sum, { payload }) => sum + payload.length, 0)
  t.ok(read())
  t.equal(bytes(), readBudget * 10)
  t.ok(read())
  t.equal(bytes(), 60)
  t.notOk(read())
})

t.test('a consumer that holds every block: its datagrams are lost, the others’ are not', async t => {
  const { stack, add, data, read, main, other } = open(t, { virtioSize: 12 })
  const flows = { main: add(mainThread), other: add(otherWorker) }
  for (let i = 0; stack.raised().consumerRingFull === undefined; i++) {
    if (i > 20) return t.fail('20 super-packets in a lane of two blocks')
    data(flows.main, pattern(60_000, i), 1000)
    read()
  }
  data(flows.other, counting(10))
  read()
  t.equal(other.take().length, 1)
  t.ok(main.take().length > 4)
})

t.test('a refused read is told to the worker, and is no reason to call again', async t => {
  const results: number[] = []
  const { read } = open(t, {
    hooks: { failed: result => results.push(result) },
    seen: shared => ({ ...shared, device: { ...shared.device, queues: [-1, -1] } }),
  })
  t.ok(read())
  t.strictSame(results, [failure('EBADF')], 'once')
})

/** The handshake of one more flow up to its third packet, which brings the first datagram. Its opening's key. */
const handshake = (t: Test, under: ReturnType<typeof open>): string => {
  const { stack, arrive, read, reports } = under
  stack.listen(localPort)
  arrive({ flags: SYN, seq: 0, ack: 0 })
  read()
  const [answer] = stack.emitted()
  t.equal(answer.flags, 'SYN|ACK')
  arrive({ seq: 1, ack: answer.seq + 1, payload: counting(30) })
  read()
  const [report] = reports
  if (report?.kind !== 'handshake') throw new Error(`${report?.kind} instead of handshake`)
  return report.key
}

t.test('what was held while a flow was made goes off as soon as the flow is there', async t => {
  const under = open(t)
  const { stack, reader, main } = under
  const key = handshake(t, under)
  t.equal(main.wakes(), 0)
  const flow = stack.add({ consumer: mainThread, nextSeq: 1000, nextAck: 1 })
  const [report] = under.reports as Extract<Report, { kind: 'handshake' }>[]
  stack.memory.flows.store(flow.slot, Field.nextSeq, report.ack)
  stack.memory.flows.store(flow.slot, Field.peerAck, report.ack)
  reader.opened(key, flow, 1_000_000)
  t.strictSame(
    main.take().map(({ slot, payload }) => [slot, [...payload]]),
    [[flow.slot, counting(30)]],
  )
  t.equal(main.wakes(), 1)
})

t.test('a handshake that was turned down, with a word to the peer or without one', async t => {
  for (const reset of [true, false]) {
    const under = open(t)
    const key = handshake(t, under)
    under.reader.turnedDown(key, reset)
    const sent = under.stack.emitted().map(summary)
    t.equal(sent.length, reset ? 1 : 0)
    if (reset) t.match(sent[0], /^RST/)
    under.reader.opened(key, { slot: 0, generation: 0 }, 1_000_000)
    t.strictSame(under.main.take(), [], 'what was held is gone')
  }
})
