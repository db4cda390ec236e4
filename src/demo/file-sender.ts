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

/** A question is asked again after this time, and given up after that, in milliseconds. */
const askAgainMs = 250
const defaultPatienceMs = 8_000
/** How often progress is told, and a silent receiver asked. */
const tickMs = 100

/**
 * Sends a file through the tunnel. The tunnel neither resends nor holds back, so this class does what every protocol
 * over UDP does: never more than `window` datagrams are beyond what the receiver has reported (that clocks it), and
 * what is missing at the end is sent again.
 */
export class FileSender {
  readonly #port: UdpPort
  readonly #file: PieceReader
  readonly #layout: Layout
  readonly #window: number
  readonly #patienceMs: number
  /** Next datagram to send for the first time; all before `#acknowledged` have arrived or are lost. */
  #next = 0
  #acknowledged = 0
  /** Set while the file is sent for the first time. */
  #onAllSent: ((done: true) => void) | undefined
  /** When the last report came. */
  #heard = 0
  /** Number of the latest question, and who waits for its answer. */
  #question = 0
  #onAnswer: (report: Report) => void = () => {}
  resent = 0
  control = 0

  constructor(port: UdpPort, file: PieceReader, layout: Layout, window: number, patienceMs = defaultPatienceMs) {
    this.#port = port
    this.#file = file
    this.#layout = layout
    this.#window = window
    this.#patienceMs = patienceMs
    port.listen((b, at, length) => {
      if (kindAt(b, at, length) === Kind.report) this.#take(reportAt(b, at, length))
    })
  }

  /** Bytes of the file that have arrived, or are known to be lost. */
  get bytesThrough(): number {
    return this.#layout.offset(this.#acknowledged)
  }

  async hello(): Promise<void> {
    await this.#ask(Kind.hello)
  }

  /** Sends every datagram once. */
  async stream(): Promise<void> {
    const allSent = new Promise<true>(resolve => {
      this.#onAllSent = resolve
    })
    this.#pump()
    while (!(await Promise.race([allSent, sleep(tickMs, false, { ref: false })]))) {
      if (performance.now() - this.#heard < tickMs) continue
      // What is under way, or the reports about it, may be lost: then nothing would ever come by itself.
      const upTo = this.#next
      await this.#ask(Kind.probe)
      this.#acknowledged = Math.max(this.#acknowledged, upTo)
      this.#pump()
    }
  }

  /** Sends again what the receiver lacks, until it has everything. Answers how many datagrams were lost at first. */
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

  /** Asks until the answer comes. Throws when the tunnel stays silent. */
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
        const error = demoError(`Nothing has come back through the tunnel for ${this.#patienceMs / 1000} s.`)
        giveUp = setTimeout(() => reject(error), this.#patienceMs)
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

  /** Sends what the window has room for. */
  #pump(): void {
    if (this.#onAllSent === undefined) return
    const end = Math.min(this.#layout.count, this.#acknowledged + this.#window)
    while (this.#next < end) {
      let added = this.#next
      while (added < end && this.#add(added)) added++
      const sent = this.#port.flush()
      this.#next += sent
      // The kernel has no room: the next report, or `stream`, goes on.
      if (this.#next < added) return
    }
    if (this.#next === this.#layout.count) this.#onAllSent(true)
  }

  /** At most a window of it: the next question asks for the rest. */
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

  /** False when the port must be flushed first. */
  #add(sequence: number): boolean {
    const length = this.#layout.length(sequence)
    const at = this.#port.add(headerLength + length)
    if (at < 0) return false
    putHeader(this.#port.outgoing, at, Kind.data, sequence)
    this.#file.copy(this.#layout.offset(sequence), length, this.#port.outgoing, at + headerLength)
    return true
  }
}
