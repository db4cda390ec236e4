/** The inbound path of one queue as its worker runs it, from the descriptor to the consumer's lane, with everything it causes recorded. */
import type { Test } from 'tap'
import { Delivery } from '../../src/memory/delivery-ring.js'
import type { FlowId } from '../../src/memory/flow-table.js'
import type { LaneReader } from '../../src/memory/lane.js'
import { native } from '../../src/native.js'
import { Egress } from '../../src/path/egress.js'
import type { Report } from '../../src/path/messages.js'
import { Reader } from '../../src/workers/reader.js'
import { summary } from './emitted.js'
import { Later } from './later.js'
import { MemoryStack, type MemoryStackOptions } from './memory-stack.js'
import { type FrameFields, frame } from './packets.js'

/** A delivery as its consumer finds it. */
export interface Delivered {
  slot: number
  generation: number
  segmentSize: number
  payload: number[]
}

/** What one packet caused; what it did not cause is left out. */
export interface Outcome {
  /** Counters that rose. */
  raised?: Record<string, number>
  /** Segments written (`summary`). */
  sent?: string[]
  reports?: Report[]
  delivered?: Delivered[]
  /** Slots that owe an ACK. */
  owed?: number[]
}

/** The thread that consumes every flow. */
const consumer = 1

export class InboundUnderTest {
  readonly stack: MemoryStack
  /** Milliseconds, handed to every packet. */
  now = 1_000_000
  readonly #reader: Reader
  readonly #lane: LaneReader
  #reports: Report[] = []
  #owed: number[] = []
  readonly #later = new Later()

  constructor(t: Test, options: MemoryStackOptions = {}) {
    this.stack = new MemoryStack(options)
    const { memory } = this.stack
    const counters = memory.counters(0)
    const egress = new Egress(memory, counters)
    this.#lane = memory.laneFrom(0, consumer)
    this.#reader = new Reader(
      { queue: 0, memory, counters, egress },
      {
        report: report => this.#reports.push(report),
        owesAck: slot => this.#owed.push(slot),
        after: (ms, act) => this.#later.add(this.now + ms, act),
        deliver: () => t.fail('a datagram for a service of this worker'),
        settle: () => {},
        failed: result => t.fail(`read: ${result}`),
      },
    )
    t.teardown(() => {
      this.#reader.close()
      this.#lane.close()
      egress.close()
      this.stack.close()
    })
  }

  /** One packet from the wire. */
  receive(fields: FrameFields): Outcome {
    this.packet(frame({ virtioSize: this.stack.shared.device.virtioSize, ...fields }))
    return this.outcome()
  }

  /** The same without a look at what it causes. */
  packet(bytes: Uint8Array): void {
    const written = native.write(this.stack.peers[0], bytes, 0, bytes.length)
    if (written !== bytes.length) throw new Error(`the pair took ${written} of ${bytes.length} bytes`)
    this.#reader.read(this.now)
  }

  /** Time passes, and what was put off until then happens. */
  wait(ms: number): Outcome {
    this.now += ms
    this.#later.run(this.now)
    return this.outcome()
  }

  /** The coordinator's answer to a `handshake`: what was held comes as if it came now. */
  opened(key: string, flow: FlowId): Outcome {
    this.#reader.opened(key, flow, this.now)
    return this.outcome()
  }

  /** The coordinator's other answer. */
  turnedDown(key: string, reset: boolean): Outcome {
    this.#reader.turnedDown(key, reset)
    return this.outcome()
  }

  /** What was caused since the last look. */
  outcome(): Outcome {
    const raised = this.stack.raised()
    const sent = this.stack.emitted().map(summary)
    const delivered = this.#delivered()
    const outcome: Outcome = {
      ...(Object.keys(raised).length > 0 && { raised }),
      ...(sent.length > 0 && { sent }),
      ...(this.#reports.length > 0 && { reports: this.#reports }),
      ...(delivered.length > 0 && { delivered }),
      ...(this.#owed.length > 0 && { owed: this.#owed }),
    }
    this.#reports = []
    this.#owed = []
    return outcome
  }

  /** What lies in the lane, which is given back. */
  #delivered(): Delivered[] {
    const { ring, bytes } = this.#lane
    const found: Delivered[] = []
    for (let record = ring.peek(); record >= 0; record = ring.peek()) {
      const [slot, generation, segmentSize, at, length] = ring.words.subarray(record, record + Delivery.words)
      found.push({ slot, generation, segmentSize, payload: [...bytes.subarray(at, at + length)] })
      ring.release()
      this.#lane.release(at)
    }
    return found
  }
}
