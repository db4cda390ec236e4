import { Batch } from '../memory/batch.js'
import { datagramsIn } from '../memory/span.js'
import { Message } from '../native.js'
import { maxReceived, UdpReceiver } from '../udp/receive.js'
import type { ServiceFlow } from '../workers/service.js'
import type { TunnelContext } from './counters.js'
import { sayOversize } from './oversize.js'

/** A flow as `UdpIntake` sees it. The service keeps one of these for each flow. */
export interface Intake {
  readonly flow: ServiceFlow
  /** Whether `sayOversize` has logged a datagram of this flow. */
  saidOversize: boolean
  /** Fields of a log line that name the flow. */
  readonly fields: Record<string, unknown>
  /** Index of the flow's first message in the batch that `UdpIntake.take` handles; -1 between batches. */
  first: number
  /** Index of its last message in that batch; valid while `first` is. */
  last: number
}

/** Says to which flows the messages of a socket belong. */
export interface Taker {
  /** The flow of the message whose record starts at word `record`; undefined: the intake ignores the message. */
  intakeOf(record: number): Intake | undefined
  /** The read returned an error, -errno: usually an ICMP error about an earlier datagram of this socket. */
  failed(result: number): void
}

/**
 * UDP → fake TCP in one worker: reads a batch of messages from a socket, and sends each flow's datagrams in order, as
 * super-packets.
 */
export class UdpIntake extends UdpReceiver {
  readonly #context: TunnelContext
  readonly #batch = new Batch(maxReceived)
  /** The part of a message that `#forward` adds to the batch: reused, so that nothing is allocated per message. */
  readonly #part = { at: 0, length: 0, segmentSize: 0 }
  /** For each message of the batch the index of the same flow's next one, or -1. */
  readonly #next = new Int32Array(maxReceived)
  /** Flows that have messages in the batch. */
  readonly #touched: Intake[] = []

  constructor(context: TunnelContext) {
    super()
    this.#context = context
  }

  /** Reads and forwards one batch from `fd`. False when there was nothing; an error counts as something. */
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

  /**
   * Whether the message's datagrams can be carried: at least 1 byte, at most `maxDatagram`. Counts those that cannot.
   */
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
    const max = flow.maxPayload
    batch.reset(this.arena, this.bytes, max)
    for (let i = intake.first; i >= 0; i = this.#next[i]) {
      const record = i * Message.words
      const size = this.segmentSize(record)
      if (!this.fits(record, flow.maxDatagram)) {
        if (size > flow.maxDatagram) sayOversize(this.#context, intake, size)
        continue
      }
      const end = this.records[record + Message.at] + this.records[record + Message.length]
      const whole = max - (max % size)
      part.segmentSize = size
      for (part.at = this.records[record + Message.at]; part.at < end; part.at += whole) {
        part.length = Math.min(whole, end - part.at)
        if (batch.add(part)) continue
        flow.send(batch)
        batch.reset(this.arena, this.bytes, max)
        batch.add(part)
      }
    }
    flow.send(batch)
  }
}
