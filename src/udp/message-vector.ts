import { Message, native } from '../native.js'
import type { Route } from './route.js'

const maxRecords = 128
const maxPieces = 1_024

/** Messages for one `udpSend`: their records first, then the pieces they name. */
export class MessageVector {
  /** The vector as an arena, for the addon. */
  readonly arena: number
  /** Messages so far. */
  count = 0
  readonly #words = new Int32Array(maxRecords * Message.words + maxPieces * 2)
  readonly #routes: Route[] = []
  #pieces = 0

  constructor() {
    this.arena = native.arenaOpen(new Uint8Array(this.#words.buffer))
  }

  /** Whether there is no room for another message, or none for another piece. */
  get full(): boolean {
    return this.count === maxRecords || this.#pieces === maxPieces
  }

  clear(): void {
    this.count = 0
    this.#pieces = 0
  }

  /** Begins a message of datagrams of `segmentSize` bytes. */
  begin(route: Route, segmentSize: number): void {
    const words = this.#words
    const at = this.at(this.count)
    this.#routes[this.count++] = route
    words[at + Message.at] = maxRecords * Message.words + this.#pieces * 2
    words[at + Message.length] = 0
    words[at + Message.segmentSize] = segmentSize
    this.#address(at, route)
  }

  /** Adds a range of memory to the last message. */
  piece(at: number, length: number): void {
    const pair = maxRecords * Message.words + this.#pieces++ * 2
    this.#words[pair] = at
    this.#words[pair + 1] = length
    this.#words[this.at(this.count - 1) + Message.length]++
  }

  /** Index of the first word of a message's record. */
  at(message: number): number {
    return message * Message.words
  }

  route(message: number): Route {
    return this.#routes[message]
  }

  segmentSize(message: number): number {
    return this.#words[this.at(message) + Message.segmentSize]
  }

  datagrams(message: number): number {
    let bytes = 0
    this.eachPiece(message, (_, length) => {
      bytes += length
    })
    return Math.ceil(bytes / this.segmentSize(message))
  }

  eachPiece(message: number, visit: (at: number, length: number) => void): void {
    const record = this.at(message)
    const first = this.#words[record + Message.at]
    for (let i = 0; i < this.#words[record + Message.length]; i++) {
      visit(this.#words[first + i * 2], this.#words[first + i * 2 + 1])
    }
  }

  /** Writes the routes' current addresses into this message and all later ones. */
  readdress(message: number): void {
    for (let i = message; i < this.count; i++) this.#address(this.at(i), this.#routes[i])
  }

  #address(at: number, route: Route): void {
    const words = this.#words
    words[at + Message.port] = route.port
    words.set(route.address, at + Message.address)
    words.set(route.local, at + Message.local)
    words[at + Message.scope] = route.scope
  }
}
