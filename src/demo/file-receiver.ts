import { Arrivals } from './arrivals.js'
import type { PieceWriter } from './file.js'
import { Layout } from './layout.js'
import {
  fileBytesAt,
  headerLength,
  Kind,
  kindAt,
  maxRanges,
  numberAt,
  putHeader,
  putReport,
  reportLength,
} from './protocol.js'
import type { UdpPort } from './udp-port.js'

/** The receiving end of the file transfer: writes the file, reports what has arrived, and answers pings. */
export class FileReceiver {
  readonly #port: UdpPort
  readonly #file: PieceWriter
  readonly #reportEvery: number
  #layout = new Layout(0)
  #arrivals = new Arrivals(0)
  /** Number of the sender's latest question, and whether it still waits for its answer. */
  #question = 0
  #asked = false
  /** `Arrivals.received` at the last report. */
  #reported = 0
  /** Datagrams that are not of the demo, or not as the sender sent them. */
  foreign = 0

  /** `reportEvery`: datagrams between two reports. */
  constructor(port: UdpPort, file: PieceWriter, reportEvery: number) {
    this.#port = port
    this.#file = file
    this.#reportEvery = reportEvery
    port.listen(
      (bytes, at, length) => this.#take(bytes, at, length),
      () => this.#settle(),
    )
  }

  /** Size of the file as the sender announced it; 0 before. */
  get bytes(): number {
    return this.#layout.fileBytes
  }

  #take(b: Uint8Array, at: number, length: number): void {
    switch (kindAt(b, at, length)) {
      case Kind.data:
        this.#data(b, at, length)
        break
      case Kind.hello:
        // Only the first hello counts: the sender repeats it when the answer is late.
        if (this.bytes === 0) {
          this.#layout = new Layout(fileBytesAt(b, at))
          this.#arrivals = new Arrivals(this.#layout.count)
        }
        this.#ask(numberAt(b, at))
        break
      case Kind.probe:
        this.#ask(numberAt(b, at))
        break
      case Kind.ping:
        this.#pong(numberAt(b, at), length)
        break
      default:
        this.foreign++
    }
  }

  /** Called after each turn of the port: sends a report when one is due. */
  #settle(): void {
    const { received, next } = this.#arrivals
    if (!this.#asked && received - this.#reported < this.#reportEvery) return
    // Only the answer to a question lists missing datagrams: the search takes time.
    const missing = this.#asked ? this.#arrivals.missing(maxRanges) : []
    const at = this.#port.add(reportLength(missing.length))
    putReport(this.#port.outgoing, at, { question: this.#question, next, received, missing })
    this.#port.flush()
    this.#asked = false
    this.#reported = received
  }

  #data(b: Uint8Array, at: number, length: number): void {
    const sequence = numberAt(b, at)
    const pieceLength = length - headerLength
    if (sequence >= this.#layout.count || pieceLength !== this.#layout.length(sequence)) {
      this.foreign++
      return
    }
    if (this.#arrivals.add(sequence)) {
      this.#file.write(this.#layout.offset(sequence), b, at + headerLength, pieceLength)
    }
  }

  #ask(question: number): void {
    this.#question = question
    this.#asked = true
  }

  #pong(number: number, length: number): void {
    putHeader(this.#port.outgoing, this.#port.add(length), Kind.pong, number)
    this.#port.flush()
  }
}
