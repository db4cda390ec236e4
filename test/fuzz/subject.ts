/**
 * The inbound path of one queue as its worker runs it, from the descriptor to the consumer's lane, under an oracle that knows the naive
 * parser: whatever arrives, what becomes of it must be explicable.
 */

import { Field, State } from '../../src/memory/flow-table.js'
import { Delivery, type LaneReader, type LaneWriter, readRoom } from '../../src/memory/lane.js'
import { native } from '../../src/native.js'
import { Egress } from '../../src/path/egress.js'
import { Inbound } from '../../src/path/inbound.js'
import type { Report } from '../../src/path/messages.js'
import { Classifier, type Segment } from '../../src/path/segment.js'
import { faultNames } from '../../src/wire/fault.js'
import { distance } from '../../src/wire/serial.js'
import { local4, local6, localPort, remote4, remote6, type VirtioSize } from '../support/frames.js'
import { Later } from '../support/later.js'
import { type FlowId, MemoryStack } from '../support/memory-stack.js'
import { virtio } from '../wire/malformed.js'
import { naive, type Parsed } from '../wire/naive.js'
import { packet4, packet6 } from '../wire/packets.js'
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
/** Counters of what was done, rather than refused. */
const traffic = new Set([
  'superPacketsIn',
  'datagramsIn',
  'bytesIn',
  'acksOut',
  'resetsOut',
  'challengesOut',
  'synCookiesOut',
])

interface Known extends FlowId {
  readonly family: 4 | 6
  readonly remotePort: number
  readonly half: boolean
}

export interface SubjectOptions {
  /** Instead of the true one, to see that the oracle notices. */
  readonly classifier?: (stack: MemoryStack) => Classifier
}

export class Subject {
  readonly #stack: MemoryStack
  readonly #inbound: Inbound
  readonly #egress: Egress
  readonly #virtioSize: VirtioSize
  readonly #own = new Uint8Array(1024 * 1024)
  readonly #ownArena = native.arenaOpen(this.#own)
  readonly #packets = new Int32Array(64 * 3)
  readonly #packetsArena = native.arenaOpen(new Uint8Array(this.#packets.buffer))
  readonly #lane: LaneWriter
  readonly #reader: LaneReader
  #reading = false
  #known: Known[] = []
  #now = 1_000_000
  #reports: Report[] = []
  readonly #later = new Later()
  #delivered: { slot: number; bytes: number[] }[] = []
  #offer: { family: 4 | 6; remotePort: number; source: string; seq: number } | undefined
  /** What happened, coarsely: counters and segments in their order. */
  #story: string[] = []

  constructor(virtioSize: VirtioSize, options: SubjectOptions = {}) {
    this.#virtioSize = virtioSize
    this.#stack = new MemoryStack({ virtioSize, capacity: 16 })
    this.#stack.listen(localPort)
    const { memory, shared } = this.#stack
    const counters = memory.counters(0)
    this.#egress = new Egress(memory, counters)
    this.#lane = memory.laneTo(1, 0)
    this.#reader = memory.laneFrom(0, 1)
    const classifier = options.classifier?.(this.#stack) ?? new Classifier(shared)
    this.#inbound = new Inbound(0, memory, counters, classifier, this.#egress, {
      deliver: (slot, generation, s) => this.#deliver(slot, generation, s),
      report: report => this.#reports.push(report),
      owesAck: () => {},
      after: (ms, act) => this.#later.add(this.#now + ms, act),
    })
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
    this.#egress.close()
    this.#lane.close()
    this.#reader.close()
    native.arenaClose(this.#ownArena)
    native.arenaClose(this.#packetsArena)
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
    for (const _ of this.#inbound.openings.finishAll());
    this.#wait(200_000)
    this.#known = []
    this.#story = []
    this.#offer = undefined
    for (const [family, remotePort, half] of [
      [4, 40_000, false],
      [6, 40_000, false],
      [4, 40_001, true],
    ] as const) {
      const ports = (remotePort << 16) | localPort
      const state = half ? State.synSent : State.established
      this.#known.push({ ...this.#stack.add({ family, ports, state }), family, remotePort, half })
    }
    this.#stack.raised()
  }

  #deliver(slot: number, generation: number, s: Segment): void {
    const bytes = this.#reading ? this.#lane.bytes : this.#own
    this.#delivered.push({ slot, bytes: [...bytes.subarray(s.payloadAt, s.payloadAt + s.payloadLength)] })
    const arena = this.#reading ? this.#lane.arena : this.#ownArena
    demand(this.#lane.put(slot, generation, s.segmentSize, arena, s.payloadAt, s.payloadLength), 'the lane is full')
  }

  /** As `QueueWorker`: into the lane when something was delivered before, else into memory of its own. */
  #packet(sent: readonly number[]): void {
    // A TUN device never hands over nothing, and a pair cannot.
    if (sent.length === 0) return
    const bytes = Uint8Array.from(sent)
    const [device] = this.#stack.shared.device.queues
    if (native.write(this.#stack.peers[0], bytes, 0, bytes.length) !== bytes.length) throw new Error('the pair is full')
    this.#reading = this.#delivered.length > 0 && this.#lane.makeRoom()
    this.#delivered = []
    this.#reports = []
    const at = this.#reading ? this.#lane.at : 0
    const [arena, end, memory] = this.#reading
      ? [this.#lane.arena, this.#lane.end, this.#lane.bytes]
      : [this.#ownArena, this.#own.length, this.#own]
    const sumsAt = this.#virtioSize === 0 ? 128 : -1
    const count = native.readBatch(device, arena, at, end, readRoom, this.#packetsArena, 0, 64, sumsAt)
    demand(count === 1, `${count} packets instead of one`)
    const judged = naive([...sent], this.#virtioSize)
    const flow = typeof judged === 'string' ? undefined : this.#flowOf(judged)
    const nextAck = flow && this.#stack.memory.flows.load(flow.slot, Field.nextAck)
    const sum = sumsAt < 0 ? -1 : this.#packets[sumsAt]
    this.#inbound.packet(memory, arena, this.#packets[0], this.#packets[1], this.#now, sum)
    const answers = this.#answers(sent.length - this.#virtioSize, judged, flow)
    const raised = this.#stack.raised()
    this.#explain(judged, raised, answers, flow, nextAck ?? 0)
    this.#coordinate()
    this.#collect()
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

  #explain(
    judged: Parsed | string,
    raised: Record<string, number>,
    answers: string[],
    flow: Known | undefined,
    nextAck: number,
  ): void {
    const reasons = Object.keys(raised).filter(name => !traffic.has(name))
    const reports = this.#reports.map(({ kind }) => kind)
    this.#story.push([...Object.keys(raised), ...answers, ...reports].join('+'))
    demand(reasons.length <= 2, `counted twice: ${reasons}`)
    if (typeof judged === 'string') {
      const protocol = judged === 'ipv4Protocol' || judged === 'ipv6Protocol'
      // Addresses are looked at before what follows them.
      const allowed = [
        'notForUs',
        'ownSource',
        ...(protocol ? ['otherProtocol', 'pathMtuLowered', 'pathMtuDoubted'] : [judged]),
      ]
      demand(reasons.length === 1 && allowed.includes(reasons[0]), `${judged}, but counted as ${reasons}`)
      demand(this.#delivered.length === 0 && answers.length === 0, `${judged} had consequences`)
      demand(
        reports.every(kind => kind === 'log'),
        `${judged} was reported: ${reports}`,
      )
      return
    }
    const wrong = reasons.filter(name => faults.has(name))
    demand(wrong.length === 0, `a good segment was counted as ${wrong}`)
    if (Object.values(ours).includes(judged.destination as never)) {
      if (judged.source === judged.destination) demand(reasons.includes('ownSource'), 'its own source was believed')
    } else demand(reasons.includes('notForUs'), 'not for us, but taken')
    const established = flow !== undefined && !flow.half
    for (const { slot, bytes } of this.#delivered) {
      demand(established && slot === flow.slot, 'delivered to a flow that it is not of')
      demand(Buffer.compare(Buffer.from(bytes), Buffer.from(judged.payload)) === 0, 'delivered other bytes than came')
    }
    if (reports.includes('reset')) {
      demand(established && (judged.flags & 4) !== 0 && judged.seq === nextAck >>> 0, 'closed by an inexact RST')
    }
    if (flow === undefined) return
    const moved = distance(nextAck, this.#stack.memory.flows.load(flow.slot, Field.nextAck))
    if (moved === 0) return
    demand(established && (judged.flags & 0x17) === 0x10, 'expects another number without an ordinary segment')
    demand(Math.abs(distance(nextAck, judged.seq)) <= window || this.#story.length > 1, 'one segment moved the window')
  }

  /** The coordinator's part: handshakes of hosts that it can tell apart become connections, others are turned down. */
  #coordinate(): void {
    for (const report of this.#reports) {
      if (report.kind === 'reset') {
        const flow = this.#known.find(({ slot }) => slot === report.slot)
        if (flow === undefined) throw new Finding('the reset of a flow that is not')
        this.#stack.end(flow)
        this.#known = this.#known.filter(one => one !== flow)
      }
      if (report.kind !== 'open') continue
      const opening = this.#inbound.openings.finish(report.key)
      if (opening === undefined) throw new Finding('an opening that is not')
      const { family, remote, ports } = report.tuple
      const host = dotted(family === 4 ? remote.slice(0, 1) : remote)
      if (host !== theirs[family as 4 | 6] || this.#known.length > 8) continue
      const id = this.#stack.add({ family: family as 4 | 6, ports, nextSeq: report.ack, nextAck: report.seq })
      this.#known.push({ ...id, family: family as 4 | 6, remotePort: ports >>> 16, half: false })
      this.#inbound.replay(opening, id.slot, id.generation, this.#now, (held, s) => {
        this.#reading = false
        this.#own.set(held)
        s.payloadAt = 0
      })
      while (this.#stack.take() !== undefined) this.#story.push('replayed')
      this.#stack.raised()
    }
  }

  /** What the consumer finds in its lane is what was delivered. */
  #collect(): void {
    this.#lane.settle()
    const expected = Buffer.concat(this.#delivered.map(({ bytes }) => Buffer.from(bytes)))
    const found: Buffer[] = []
    const { ring } = this.#reader
    for (let record = ring.peek() >> 2; record >= 0; record = ring.peek() >> 2) {
      const at = ring.words[record + Delivery.at]
      found.push(Buffer.from(this.#reader.bytes.subarray(at, at + ring.words[record + Delivery.length])))
      ring.release()
      this.#reader.release(at)
    }
    demand(Buffer.compare(expected, Buffer.concat(found)) === 0, 'the lane brought other bytes than were put')
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
