import { Batch } from '../memory/batch.js'
import { datagramsIn } from '../memory/span.js'
import { Message } from '../native.js'
import { maxReceived, UdpReceiver } from '../udp/receive.js'
import type { ServiceFlow } from '../workers/service.js'
import type { TunnelContext } from './counters.js'
import { sayOversize } from './oversize.js'

/** What an intake needs to know of a flow; one of these per flow, kept by the service. */
export interface Intake {
  readonly flow: ServiceFlow
  /** Whether it was said that this flow has datagrams that are too large. */
  saidOversize: boolean
  /** What a log line about the flow names. */
  readonly fields: Record<string, unknown>
  /** Chain of this batch's messages: only valid while one is handled. */
  first: number
  last: number
}

/** Who a socket's messages are for. */
export interface Taker {
  /** The flow of the message whose record starts at that word, or undefined when it dealt with the message itself. */
  intakeOf(record: number): Intake | undefined
  /** The socket had news of an earlier datagram (ICMP) instead: -errno. */
  failed(result: number): void
}

/**
 * UDP → fake TCP in one worker: takes what a socket has, and sends each flow's datagrams as super-packets, in order.
 */
export class UdpIntake extends UdpReceiver {
  readonly #context: TunnelContext
  readonly #batch = new Batch(maxReceived)
  /** A part of one message. */
  readonly #part = { at: 0, length: 0, segmentSize: 0 }
  readonly #next = new Int32Array(maxReceived)
  readonly #touched: Intake[] = []

  constructor(context: TunnelContext) {
    super()
    this.#context = context
  }

  /** One batch from `fd`. Whether there was anything. */
  take(fd: number, taker: Taker): boolean {
    const { records } = this
    const count = this.receive(fd)
    if (count < 0) {
      this.#context.count('udpReceiveFailed')
      taker.failed(count)
      return true
    }
    for (let i = 0; i < count; i++) {
      const record = i * Message.words
      if (records[record + Message.truncated] !== 0) {
        this.#context.count('udpTruncated')
        continue
      }
      const intake = taker.intakeOf(record)
      if (intake === undefined) continue
      this.#next[i] = -1
      if (intake.first < 0) {
        intake.first = i
        this.#touched.push(intake)
      } else {
        this.#next[intake.last] = i
      }
      intake.last = i
    }
    for (const intake of this.#touched) {
      this.#forward(intake)
      intake.first = -1
    }
    this.#touched.length = 0
    return count > 0
  }

  /** False, and counted, when the message's datagrams cannot be carried. */
  fits(record: number, maxDatagram: number): boolean {
    const length = this.records[record + Message.length]
    if (length === 0) {
      this.#context.count('emptyDatagram')
      return false
    }
    const size = this.segmentSize(record)
    if (Math.min(size, length) <= maxDatagram) return true
    this.#context.count('oversizeDatagram', datagramsIn(length, size))
    return false
  }

  #forward(intake: Intake): void {
    const { flow } = intake
    const batch = this.#batch
    const part = this.#part
    const most = flow.maxPayload
    batch.reset(this.arena, this.bytes, most)
    for (let i = intake.first; i >= 0; i = this.#next[i]) {
      const record = i * Message.words
      const size = this.segmentSize(record)
      if (!this.fits(record, flow.maxDatagram)) {
        if (size > flow.maxDatagram) sayOversize(this.#context, intake, size)
        continue
      }
      const end = this.records[record + Message.at] + this.records[record + Message.length]
      const whole = most - (most % size)
      part.segmentSize = size
      for (part.at = this.records[record + Message.at]; part.at < end; part.at += whole) {
        part.length = Math.min(whole, end - part.at)
        if (batch.add(part)) continue
        flow.send(batch)
        batch.reset(this.arena, this.bytes, most)
        batch.add(part)
      }
    }
    flow.send(batch)
  }
}
