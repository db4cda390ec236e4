import { setTimeout as sleep } from 'node:timers/promises'
import type { PieceReader } from './file.js'
import type { Layout } from './layout.js'
import { demoError } from './part.js'
import {
  headerLength,
  helloLength,
  Kind,
  kindAt,
  putHeader,
  putHello,
  type Range,
  type Report,
  reportAt,
} from './protocol.js'
import type { UdpPort } from './udp-port.js'

/** Milliseconds until the sender repeats a question that has no answer. */
const askAgainMs = 250
/** Milliseconds until the sender gives up a question, and with it the transfer. */
const defaultTimeoutMs = 8_000
/** Milliseconds without a report after which `stream` asks the receiver. */
const tickMs = 100

/**
 * The sending end of the file transfer. The tunnel neither retransmits nor controls the rate, so this class does both,
 * as every protocol over UDP does. At most `window` datagrams are beyond what the receiver has reported, so its reports
 * clock the sender. At the end it retransmits the missing datagrams.
 */
export class FileSender {
  readonly #port: UdpPort
  readonly #file: PieceReader
  readonly #layout: Layout
  readonly #window: number
  readonly #timeoutMs: number
  /** Sequence number of the next datagram to send for the first time. */
  #next = 0
  /** All datagrams before this one have arrived, or count as lost. */
  #acknowledged = 0
  /** Resolves `stream`; undefined before it is called. */
  #onAllSent: ((done: true) => void) | undefined
  /** When the last report came. */
  #heard = 0
  /** Number of the latest question, and the function that takes its answer. */
  #question = 0
  #onAnswer: (report: Report) => void = () => {}
  /** Datagrams that were retransmitted. */
  resent = 0
  /** Questions that were sent, repeated ones included. */
  control = 0

  constructor(port: UdpPort, file: PieceReader, layout: Layout, window: number, timeoutMs = defaultTimeoutMs) {
    this.#port = port
    this.#file = file
    this.#layout = layout
    this.#window = window
    this.#timeoutMs = timeoutMs
    port.listen((b, at, length) => {
      if (kindAt(b, at, length) === Kind.report) this.#take(reportAt(b, at, length))
    })
  }

  /** Bytes of the file that have arrived, or count as lost. */
  get bytesThrough(): number {
    return this.#layout.offset(this.#acknowledged)
  }

  /** Announces the file. Rejects when the tunnel stays silent. */
  async hello(): Promise<void> {
    await this.#ask(Kind.hello)
  }

  /** Sends every datagram once. Rejects when the tunnel stays silent. */
  async stream(): Promise<void> {
    const allSent = new Promise<true>(resolve => {
      this.#onAllSent = resolve
    })
    this.#pump()
    while (!(await Promise.race([allSent, sleep(tickMs, false, { ref: false })]))) {
      if (performance.now() - this.#heard < tickMs) continue
      // The datagrams under way, or the reports about them, may all be lost: then no further report would come unasked.
      const upTo = this.#next
      await this.#ask(Kind.probe)
      this.#acknowledged = Math.max(this.#acknowledged, upTo)
      this.#pump()
    }
  }

  /**
   * Retransmits what the receiver lacks until it has everything. Resolves to the number of datagrams that were lost the
   * first time.
   */
  async repair(): Promise<number> {
    let report = await this.#ask(Kind.probe)
    const lost = this.#layout.count - report.received
    while (report.received < this.#layout.count) {
      this.#resend(report.missing)
      report = await this.#ask(Kind.probe)
    }
    this.#acknowledged = this.#layout.count
    return lost
  }

  /** Sends a question, again and again until its answer comes. Rejects when the tunnel stays silent. */
  async #ask(kind: typeof Kind.hello | typeof Kind.probe): Promise<Report> {
    const question = ++this.#question
    const ask = (): void => {
      const at = this.#port.add(kind === Kind.hello ? helloLength : headerLength)
      if (kind === Kind.hello) putHello(this.#port.outgoing, at, question, this.#layout.fileBytes)
      else putHeader(this.#port.outgoing, at, kind, question)
      this.#port.flush()
      this.control++
    }
    const again = setInterval(ask, askAgainMs)
    let giveUp: NodeJS.Timeout | undefined
    try {
      return await new Promise<Report>((resolve, reject) => {
        const error = demoError(`Nothing has come back through the tunnel for ${this.#timeoutMs / 1000} s.`)
        giveUp = setTimeout(() => reject(error), this.#timeoutMs)
        this.#onAnswer = resolve
        ask()
      })
    } finally {
      clearInterval(again)
      clearTimeout(giveUp)
    }
  }

  #take(report: Report): void {
    this.#heard = performance.now()
    this.#acknowledged = Math.max(this.#acknowledged, report.next)
    if (report.question === this.#question) this.#onAnswer(report)
    this.#pump()
  }

  /** Sends new datagrams as far as the window allows. */
  #pump(): void {
    if (this.#onAllSent === undefined) return
    const end = Math.min(this.#layout.count, this.#acknowledged + this.#window)
    while (this.#next < end) {
      let added = this.#next
      while (added < end && this.#add(added)) added++
      const sent = this.#port.flush()
      this.#next += sent
      // The socket's buffer is full: the next report, or the timer of `stream`, continues.
      if (this.#next < added) return
    }
    if (this.#next === this.#layout.count) this.#onAllSent(true)
  }

  /** Retransmits missing datagrams, at most a window of them: the next report names the rest. */
  #resend(missing: readonly Range[]): void {
    let left = this.#window
    for (const { first, count } of missing) {
      for (let sequence = first; sequence < first + count && left > 0; left--) {
        if (this.#add(sequence)) sequence++
        else this.resent += this.#port.flush()
      }
    }
    this.resent += this.#port.flush()
  }

  /** Adds a datagram to the port. False when the port must be flushed first. */
  #add(sequence: number): boolean {
    const length = this.#layout.length(sequence)
    const at = this.#port.add(headerLength + length)
    if (at < 0) return false
    putHeader(this.#port.outgoing, at, Kind.data, sequence)
    this.#file.copy(this.#layout.offset(sequence), length, this.#port.outgoing, at + headerLength)
    return true
  }
}
