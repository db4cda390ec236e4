/**
 * UDP load:
 *
 *     udp-send --to IP:PORT [--size 1400] [--seconds 5] [--rate N] [--flows N] [--plain | --gso] [--warmup MS]
 *
 * | mode | system calls |
 * |---|---|
 * | default | one sendmmsg for `BATCH` datagrams |
 * | `--plain` | one per datagram (`udp-plain`, in C, does the same with less CPU time) |
 * | `--gso` | one per UDP_SEGMENT message of up to 64 datagrams: the kernel cuts it, or a GRO receiver gets it whole |
 *
 * `--rate` is datagrams per second over all flows, 0 as fast as possible. Each flow has its own source port. It writes
 * `started` to stderr once all are open, and prints one JSON line.
 */
import { parseArgs } from 'node:util'
import { errnoName, Message, native } from '../../src/native.js'
import { fillSlots, HEADER, MAX_DATAGRAM, MAX_FLOWS, SLOTS, stamp, WARMUP } from './datagram.js'
import { cpuSeconds, type Endpoint, endpoint, MAX_SECONDS, number } from './options.js'

/** Messages per sendmmsg. More gains nothing here, and a burst of this length still fits a default receive buffer. */
const BATCH = 64
/** UDP_MAX_SEGMENTS of kernels before 6.9. */
const MAX_SEGMENTS = 64
/** Interval in which a paced sender wakes, in milliseconds. */
const TICK = 0.2
/**
 * Flows open this many at a time, with this pause in milliseconds, since opening thousands at once is measured
 * elsewhere.
 */
const WARMUP_BURST = 16
const WARMUP_PAUSE = 4
/** Words per piece: byte offset and length. */
const PIECE = 2

interface Flow {
  fd: number
  number: number
  next: number
}

const check = (result: number, what: string): number => {
  if (result < 0) throw new Error(`${what}: ${errnoName(result)}`)
  return result
}

/** Sends runs of consecutive datagrams of one flow out of the ring of `SLOTS` datagrams. */
class Sender {
  private readonly vector: Int32Array
  private readonly vectorArena: number
  private readonly slotsArena: number
  private readonly slots: DataView
  private readonly family: 4 | 6
  private readonly size: number
  /** Datagrams per message. */
  readonly segments: number
  /** Messages per call. */
  readonly messages: number
  errors = 0

  constructor(family: 4 | 6, size: number, segments: number, messages: number) {
    this.family = family
    this.size = size
    this.segments = segments
    this.messages = messages
    const bytes = new Uint8Array(SLOTS * size)
    fillSlots(bytes, size)
    this.slots = new DataView(bytes.buffer)
    this.slotsArena = native.arenaOpen(bytes)
    this.vector = new Int32Array(messages * (Message.words + 2 * PIECE))
    this.vectorArena = native.arenaOpen(new Uint8Array(this.vector.buffer))
  }

  open(to: Endpoint): number {
    const fd = check(native.udpOpen(this.family, 0), 'udpOpen')
    check(native.socketBuffers(fd, 0, 8 << 20), 'socketBuffers')
    check(native.udpConnect(fd, to.address, to.port, 0), 'udpConnect')
    return fd
  }

  warmup(flow: Flow): void {
    stamp(this.slots, (SLOTS - 1) * this.size, flow.number, WARMUP)
    this.describe(0, SLOTS - 1, 1)
    native.udpSend(flow.fd, this.family, this.slotsArena, this.vectorArena, 0, 1)
  }

  /** Sends `count` datagrams, at most `segments * messages`, in one call. Answers how many the kernel took. */
  send(flow: Flow, count: number): number {
    let messages = 0
    for (let left = count; left > 0; messages++) {
      const run = Math.min(left, this.segments)
      for (let i = 0; i < run; i++) {
        const sequence = flow.next + i
        stamp(this.slots, (sequence % SLOTS) * this.size, flow.number, sequence)
      }
      this.describe(messages, flow.next % SLOTS, run)
      flow.next += run
      left -= run
    }
    const sent = native.udpSend(flow.fd, this.family, this.slotsArena, this.vectorArena, 0, messages)
    if (sent === messages) return count
    this.errors += messages - Math.max(0, sent)
    return Math.max(0, sent) * this.segments
  }

  /** Fills message `index` with `run` datagrams from `slot` on, in two pieces when they wrap around the ring. */
  private describe(index: number, slot: number, run: number): void {
    const record = index * Message.words
    const pieces = this.messages * Message.words + index * 2 * PIECE
    const before = Math.min(run, SLOTS - slot)
    this.vector.set([slot * this.size, before * this.size, 0, (run - before) * this.size], pieces)
    this.vector[record + Message.at] = pieces
    this.vector[record + Message.length] = before < run ? 2 : 1
    this.vector[record + Message.segmentSize] = run > 1 ? this.size : 0
    this.vector[record + Message.port] = 0
  }
}

const main = (): void => {
  const { values } = parseArgs({
    options: {
      to: { type: 'string' },
      size: { type: 'string', default: '1400' },
      seconds: { type: 'string', default: '5' },
      rate: { type: 'string', default: '0' },
      flows: { type: 'string', default: '1' },
      warmup: { type: 'string', default: '0' },
      plain: { type: 'boolean', default: false },
      gso: { type: 'boolean', default: false },
    },
  })
  const to = endpoint(values.to, '--to')
  const size = number(values.size, '--size', HEADER, MAX_DATAGRAM)
  const seconds = number(values.seconds, '--seconds', 0.01, MAX_SECONDS)
  const rate = number(values.rate, '--rate', 0, 1e9)
  const warmup = number(values.warmup, '--warmup', 0, 5000)
  const segments = values.gso ? Math.min(MAX_SEGMENTS, Math.floor(MAX_DATAGRAM / size)) : 1
  const sender = new Sender(to.family, size, segments, values.plain || values.gso ? 1 : BATCH)
  const flows: Flow[] = []
  for (let f = 0; f < number(values.flows, '--flows', 1, MAX_FLOWS); f++) {
    flows.push({ fd: sender.open(to), number: f, next: 0 })
  }

  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  if (warmup > 0) {
    for (const flow of flows) {
      sender.warmup(flow)
      if (flow.number % WARMUP_BURST === WARMUP_BURST - 1) Atomics.wait(sleeper, 0, 0, WARMUP_PAUSE)
    }
    Atomics.wait(sleeper, 0, 0, warmup)
  }
  const most = sender.segments * sender.messages
  console.error('started')
  const start = performance.now()
  const end = start + seconds * 1000
  let attempted = 0
  let sent = 0
  let turn = 0
  for (let now = start; now < end; now = performance.now()) {
    const due = rate > 0 ? Math.floor(((now - start) / 1000) * rate) - attempted : most * 8
    for (let left = due; left > 0 && performance.now() < end; ) {
      const run = Math.min(left, most)
      sent += sender.send(flows[turn++ % flows.length], run)
      attempted += run
      left -= run
    }
    if (rate > 0) Atomics.wait(sleeper, 0, 0, TICK)
  }
  const took = (performance.now() - start) / 1000
  const result = { datagrams: sent, bytes: sent * size, seconds: took, errors: sender.errors, cpuSeconds: cpuSeconds() }
  console.log(JSON.stringify(result))
}

main()
