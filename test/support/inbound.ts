/** The inbound path of one queue over a pair, with everything it causes recorded. */
import type { Test } from 'tap'
import { native } from '../../src/native.js'
import { Egress } from '../../src/path/egress.js'
import { Inbound } from '../../src/path/inbound.js'
import type { Report } from '../../src/path/messages.js'
import { Classifier } from '../../src/path/segment.js'
import { type FrameFields, frame, summary } from './frames.js'
import { Later } from './later.js'
import { MemoryStack, type MemoryStackOptions } from './memory-stack.js'

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

const at = 64

export class InboundUnderTest {
  readonly stack: MemoryStack
  readonly inbound: Inbound
  /** Milliseconds, handed to every packet. */
  now = 1_000_000
  readonly #bytes = new Uint8Array(256 * 1024)
  readonly #arena: number
  readonly #egress: Egress
  #reports: Report[] = []
  #delivered: Delivered[] = []
  #owed: number[] = []
  readonly #later = new Later()

  constructor(t: Test, options: MemoryStackOptions = {}) {
    this.stack = new MemoryStack(options)
    const { memory, shared } = this.stack
    const counters = memory.counters(0)
    this.#arena = native.arenaOpen(this.#bytes)
    this.#egress = new Egress(memory, counters)
    this.inbound = new Inbound(0, memory, counters, new Classifier(shared), this.#egress, {
      deliver: (slot, generation, { segmentSize, payloadAt, payloadLength }) =>
        this.#delivered.push({
          slot,
          generation,
          segmentSize,
          payload: [...this.#bytes.subarray(payloadAt, payloadAt + payloadLength)],
        }),
      report: report => this.#reports.push(report),
      owesAck: slot => this.#owed.push(slot),
      after: (ms, act) => this.#later.add(this.now + ms, act),
    })
    t.teardown(() => {
      this.#egress.close()
      native.arenaClose(this.#arena)
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
    this.#bytes.set(bytes, at)
    this.inbound.packet(this.#bytes, this.#arena, at, bytes.length, this.now)
  }

  /** Time passes, and what was put off until then happens. */
  wait(ms: number): Outcome {
    this.now += ms
    this.#later.run(this.now)
    return this.outcome()
  }

  /** The coordinator's answer to an `open`: what was held comes as if it came now. */
  opened(key: string, slot: number, generation: number): Outcome {
    const opening = this.inbound.openings.finish(key)
    if (opening === undefined) return { raised: { nothingOpening: 1 } }
    this.inbound.replay(opening, slot, generation, this.now, (held, s) => {
      this.#bytes.set(held)
      s.payloadAt = 0
    })
    return this.outcome()
  }

  /** What was caused since the last look. */
  outcome(): Outcome {
    const raised = this.stack.raised()
    const sent = this.stack.emitted().map(summary)
    const outcome: Outcome = {
      ...(Object.keys(raised).length > 0 && { raised }),
      ...(sent.length > 0 && { sent }),
      ...(this.#reports.length > 0 && { reports: this.#reports }),
      ...(this.#delivered.length > 0 && { delivered: this.#delivered }),
      ...(this.#owed.length > 0 && { owed: this.#owed }),
    }
    this.#reports = []
    this.#delivered = []
    this.#owed = []
    return outcome
  }
}
