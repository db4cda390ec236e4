/**
 * The inbound path of one queue as its worker runs it, from the descriptor to the consumer's lane, under an oracle that knows the naive
 * parser: whatever arrives, what becomes of it must be explicable.
 */

import { stackCounters } from '../../src/memory/counter-table.js'
import { Delivery } from '../../src/memory/delivery-ring.js'
import { Field, type FlowId, State } from '../../src/memory/flow-table.js'
import type { LaneReader } from '../../src/memory/lane.js'
import { native } from '../../src/native.js'
import { Egress } from '../../src/path/egress.js'
import type { Report } from '../../src/path/messages.js'
import type { Classifier } from '../../src/path/segment.js'
import { faultNames } from '../../src/wire/fault.js'
import { distance } from '../../src/wire/serial.js'
import { Reader } from '../../src/workers/reader.js'
import { Later } from '../support/later.js'
import { MemoryStack } from '../support/memory-stack.js'
import { local4, local6, localPort, packet4, packet6, remote4, remote6, type VirtioSize } from '../support/packets.js'
import { virtio } from '../wire/malformed.js'
import { naive, type Parsed } from '../wire/naive.js'
import type { Step } from './input.js'

/** Something that cannot be explained. */
export class Finding extends Error {}

const demand = (holds: boolean, what: string): void => {
  if (!holds) throw new Finding(what)
}

const dotted = (words: readonly number[]): string =>
  words.flatMap(word => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255]).join('.')

const ours = { 4: dotted([local4]), 6: dotted(local6) } as const
const theirs = { 4: dotted([remote4]), 6: dotted(remote6) } as const
const window = 64 * 1024 * 1024
const faults: ReadonlySet<string> = new Set(faultNames)
/** Counters of what was done. One of them also tells what became of a packet that is no segment. */
const traffic: ReadonlySet<string> = new Set(
  stackCounters.filter(({ name, kind }) => kind === 'traffic' && name !== 'pathMtuLowered').map(({ name }) => name),
)

interface Known extends FlowId {
  readonly family: 4 | 6
  readonly remotePort: number
  readonly synSent: boolean
}

export interface SubjectOptions {
  /** Instead of the true one, to see that the oracle notices. */
  readonly classifier?: (stack: MemoryStack) => Classifier
}

/** What one packet caused. */
interface Consequences {
  /** Counters that rose. */
  readonly raised: Record<string, number>
  /** Counters among them that say why the packet was refused. */
  readonly reasons: readonly string[]
  /** Segments that were written, in short. */
  readonly answers: readonly string[]
  readonly reports: readonly Report['kind'][]
  /** What the consumer found in its lane. */
  readonly delivered: readonly Delivered[]
}

interface Delivered {
  readonly slot: number
  readonly bytes: Buffer
}

/** The thread that consumes every flow. */
const consumer = 1

export class Subject {
  readonly #stack: MemoryStack
  readonly #reader: Reader
  readonly #egress: Egress
  readonly #virtioSize: VirtioSize
  readonly #lane: LaneReader
  #known: Known[] = []
  /** Openings that the coordinator has not answered. */
  #opening: string[] = []
  #now = 1_000_000
  #reports: Report[] = []
  readonly #later = new Later()
  #offer: { family: 4 | 6; remotePort: number; source: string; seq: number } | undefined
  /** What happened, coarsely: counters and segments in their order. */
  #story: string[] = []

  constructor(virtioSize: VirtioSize, options: SubjectOptions = {}) {
    this.#virtioSize = virtioSize
    this.#stack = new MemoryStack({ virtioSize, capacity: 16 })
    this.#stack.listen(localPort)
    const { memory } = this.#stack
    const counters = memory.counters(0)
    this.#egress = new Egress(memory, counters)
    this.#lane = memory.laneFrom(0, consumer)
    const classifier = options.classifier?.(this.#stack)
    this.#reader = new Reader(
      { queue: 0, memory, counters, egress: this.#egress, ...(classifier && { classifier }) },
      {
        report: report => this.#reports.push(report),
        owesAck: () => {},
        after: (ms, act) => this.#later.add(this.#now + ms, act),
        deliver: () => demand(false, 'delivered to a service that is not'),
        settle: () => {},
        failed: result => demand(false, `read: ${result}`),
      },
    )
  }

  /** Throws a `Finding`. Answers what happened, in short. */
  run(steps: readonly Step[]): string {
    this.#begin()
    for (const step of steps) {
      if (step.kind === 'wait') this.#wait(step.ms)
      else if (step.kind === 'packet') this.#packet(step.bytes)
      else this.#answer(step.bytes)
    }
    return this.#story.join(';')
  }

  close(): void {
    this.#reader.close()
    this.#egress.close()
    this.#lane.close()
    this.#stack.close()
  }

  #wait(ms: number): void {
    this.#now += ms
    this.#later.run(this.#now)
    // A challenge that was put off: no packet's that comes later.
    for (let frame = this.#stack.take(); frame !== undefined; frame = this.#stack.take()) {
      demand(typeof naive([...frame], this.#virtioSize) === 'object', 'wrote a malformed packet')
      this.#story.push('late')
    }
    this.#stack.raised()
  }

  /** Always the same connections; nothing of an earlier input but caches and the clock. */
  #begin(): void {
    for (const flow of this.#known) this.#stack.end(flow)
    for (const key of this.#opening.splice(0)) this.#reader.turnedDown(key, false)
    this.#wait(200_000)
    this.#known = []
    this.#story = []
    this.#offer = undefined
    for (const [family, remotePort, synSent] of [
      [4, 40_000, false],
      [6, 40_000, false],
      [4, 40_001, true],
    ] as const) {
      const ports = (remotePort << 16) | localPort
      const state = synSent ? State.synSent : State.established
      this.#known.push({ ...this.#stack.add({ family, ports, state }), family, remotePort, synSent })
    }
    this.#stack.raised()
  }

  /** One packet through the reader; then everything that it caused must be explicable. */
  #packet(sent: readonly number[]): void {
    // A TUN device never hands over nothing, and a pair cannot.
    if (sent.length === 0) return
    const bytes = Uint8Array.from(sent)
    if (native.write(this.#stack.peers[0], bytes, 0, bytes.length) !== bytes.length) throw new Error('the pair is full')
    const judged = naive([...sent], this.#virtioSize)
    const flow = typeof judged === 'string' ? undefined : this.#flowOf(judged)
    const nextAck = flow === undefined ? 0 : this.#stack.memory.flows.load(flow.slot, Field.nextAck)
    this.#reports = []
    this.#reader.read(this.#now)
    const answers = this.#answers(sent.length - this.#virtioSize, judged, flow)
    const raised = this.#stack.raised()
    const reports = this.#reports.map(({ kind }) => kind)
    const reasons = Object.keys(raised).filter(name => !traffic.has(name))
    const caused: Consequences = { raised, reasons, answers, reports, delivered: this.#collect() }
    this.#story.push([...Object.keys(raised), ...answers, ...reports].join('+'))
    demand(reasons.length <= 2, `counted twice: ${reasons}`)
    if (typeof judged === 'string') {
      this.#explainMalformed(judged, caused)
    } else {
      this.#explainSegment(judged, caused, flow)
      if (flow !== undefined) this.#explainMove(judged, flow, nextAck)
      if (flow !== undefined && reports.includes('reset')) {
        demand(!flow.synSent && (judged.flags & 4) !== 0 && judged.seq === nextAck >>> 0, 'closed by an inexact RST')
      }
    }
    this.#coordinate(judged)
  }

  /** What was written: valid packets of ours, and for strangers never much more than they sent. */
  #answers(received: number, judged: Parsed | string, flow: Known | undefined): string[] {
    const found: string[] = []
    let written = 0
    for (let frame = this.#stack.take(); frame !== undefined; frame = this.#stack.take()) {
      const answer = naive([...frame], this.#virtioSize)
      if (typeof answer === 'string') throw new Finding(`wrote a packet that is ${answer}`)
      demand(typeof judged === 'object', 'answered a packet that is no segment')
      const { source, destination, sourcePort, destinationPort } = judged as Parsed
      demand(answer.destination === source && answer.source === destination, 'answered somebody else')
      demand(answer.destinationPort === sourcePort && answer.sourcePort === destinationPort, 'answered another port')
      written += frame.length - this.#virtioSize
      found.push(`flags ${answer.flags}`)
      if (answer.flags === 0x12) {
        const family = source === theirs[4] ? 4 : 6
        this.#offer = { family, remotePort: sourcePort, source, seq: answer.seq }
      }
    }
    demand(found.length <= 1, `${found.length} answers to one packet`)
    if (flow === undefined && written > 0)
      demand(written <= 1.2 * received, `${written} bytes in answer to ${received}`)
    return found
  }

  /** What is no segment is counted as what is wrong with it, and has no other consequence. */
  #explainMalformed(judged: string, { reasons, answers, reports, delivered }: Consequences): void {
    const protocol = judged === 'ipv4Protocol' || judged === 'ipv6Protocol'
    const counted = protocol ? ['otherProtocol', 'pathMtuLowered', 'pathMtuDoubted'] : [judged]
    // Addresses are looked at before what follows them.
    const allowed = ['notForUs', 'ownSource', ...counted]
    demand(reasons.length === 1 && allowed.includes(reasons[0]), `${judged}, but counted as ${reasons}`)
    demand(delivered.length === 0 && answers.length === 0, `${judged} had consequences`)
    demand(
      reports.every(kind => kind === 'pathMtu'),
      `${judged} was reported: ${reports}`,
    )
  }

  /** A good segment is never called malformed, and its payload goes to its own flow, as it came. */
  #explainSegment(judged: Parsed, { reasons, delivered }: Consequences, flow: Known | undefined): void {
    const wrong = reasons.filter(name => faults.has(name))
    demand(wrong.length === 0, `a good segment was counted as ${wrong}`)
    if (Object.values(ours).includes(judged.destination as never)) {
      if (judged.source === judged.destination) demand(reasons.includes('ownSource'), 'its own source was believed')
    } else demand(reasons.includes('notForUs'), 'not for us, but taken')
    for (const { slot, bytes } of delivered) {
      demand(flow !== undefined && !flow.synSent && slot === flow.slot, 'delivered to a flow that it is not of')
      demand(Buffer.compare(bytes, Buffer.from(judged.payload)) === 0, 'delivered other bytes than came')
    }
  }

  /** Only an ordinary segment moves the number that is expected, and one alone never far. */
  #explainMove(judged: Parsed, flow: Known, before: number): void {
    const moved = distance(before, this.#stack.memory.flows.load(flow.slot, Field.nextAck))
    if (moved === 0) return
    demand(!flow.synSent && (judged.flags & 0x17) === 0x10, 'expects another number without an ordinary segment')
    demand(Math.abs(distance(before, judged.seq)) <= window || this.#story.length > 1, 'one segment moved the window')
  }

  /** The coordinator's part: handshakes of hosts that it can tell apart become connections, others are turned down. */
  #coordinate(judged: Parsed | string): void {
    for (const report of this.#reports) {
      if (report.kind === 'reset') this.#end(report)
      else if (report.kind === 'handshake') this.#handshake(report, judged as Parsed)
    }
  }

  #end({ slot }: FlowId): void {
    const flow = this.#known.find(one => one.slot === slot)
    if (flow === undefined) throw new Finding('the reset of a flow that is not')
    this.#stack.end(flow)
    this.#known = this.#known.filter(one => one !== flow)
  }

  #handshake({ key, tuple, seq, ack }: Extract<Report, { kind: 'handshake' }>, { payload }: Parsed): void {
    const { family, ports, r0, r1, r2, r3 } = tuple
    const host = dotted(family === 4 ? [r0] : [r0, r1, r2, r3])
    if (host !== theirs[family as 4 | 6] || this.#known.length > 8) {
      this.#opening.push(key)
      return
    }
    const flow = this.#stack.add({ family: family as 4 | 6, ports, nextSeq: ack, nextAck: seq })
    this.#known.push({ ...flow, family: family as 4 | 6, remotePort: ports >>> 16, synSent: false })
    this.#reader.opened(key, flow, this.#now)
    const found = Buffer.concat(this.#collect().map(({ bytes }) => bytes))
    demand(Buffer.compare(found, Buffer.from(payload)) === 0, 'other bytes than the third packet brought')
    while (this.#stack.take() !== undefined) this.#story.push('replayed')
    this.#stack.raised()
  }

  /** What lies in the consumer's lane, which gets it back. */
  #collect(): Delivered[] {
    const { ring } = this.#lane
    const found: Delivered[] = []
    for (let record = ring.peek(); record >= 0; record = ring.peek()) {
      const at = ring.words[record + Delivery.at]
      const bytes = Buffer.from(this.#lane.bytes.slice(at, at + ring.words[record + Delivery.length]))
      found.push({ slot: ring.words[record + Delivery.slot], bytes })
      ring.release()
      this.#lane.release(at)
    }
    return found
  }

  #answer(payload: readonly number[]): void {
    const offer = this.#offer
    if (offer === undefined || !Object.values(theirs).includes(offer.source as never)) return
    const fields = { sourcePort: offer.remotePort, seq: 1, ack: (offer.seq + 1) >>> 0, payload: [...payload] }
    const packet = offer.family === 4 ? packet4({}, fields) : packet6({}, fields)
    this.#packet([...[...virtio(0, 0), 0, 0].slice(0, this.#virtioSize), ...packet])
  }

  #flowOf({ source, destination, sourcePort, destinationPort }: Parsed): Known | undefined {
    return this.#known.find(
      ({ family, remotePort }) =>
        source === theirs[family] &&
        destination === ours[family] &&
        remotePort === sourcePort &&
        destinationPort === localPort,
    )
  }
}
