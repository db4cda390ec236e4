/// <reference lib="esnext.disposable" preserve="true" />
import { ErrorCode, FakeTcpError, sizeError } from '../errors.js'
import { Field, type FlowId } from '../memory/flow-table.js'
import type { LaneReader } from '../memory/lane.js'
import { Span } from '../memory/span.js'
import { native } from '../native.js'
import { endpoint, fromWords } from '../net/address.js'
import { Egress } from '../path/egress.js'
import { type CloseReason, closeReasons, type End } from '../path/messages.js'
import { type Chunk, chunkBytes } from './chunk-pool.js'
import { ConsumerThread } from './consumer-thread.js'
import type { SocketHome } from './local-sockets.js'
import { type DatagramBatch, ReceiveQueue } from './receive-queue.js'
import { readableOf, writableOf } from './streams.js'
import type { Residue, SocketHandle } from './transfer-messages.js'
import { Waiters } from './waiters.js'

/** How a connection ended. */
export interface Closed {
  readonly reason: CloseReason
}

/** The span that a socket of this thread sends. */
const outgoing = new Span()

/** What a connection has carried, in datagrams and in bytes without headers. */
export interface SocketStats {
  readonly datagramsIn: number
  readonly bytesIn: number
  readonly datagramsOut: number
  readonly bytesOut: number
  /** Datagrams that arrived and were dropped, because this socket was read too slowly. */
  readonly dropped: number
}

/**
 * One connection. Datagrams leave in the order in which they were sent, and are received in the order in which the
 * network delivers them. Nothing is retransmitted, and no datagram waits for another.
 */
export class Socket implements AsyncIterable<Uint8Array>, AsyncDisposable {
  readonly localAddress: string
  readonly localPort: number
  readonly remoteAddress: string
  readonly remotePort: number
  /** Resolves when the connection is gone, whichever side ended it. Never rejects. */
  readonly closed: Promise<Closed>

  /** @internal */
  readonly slot: number
  /** @internal */
  readonly generation: number
  readonly #home: SocketHome
  readonly #maxPayload: number
  readonly #queue: ReceiveQueue
  readonly #readers = new Waiters<undefined>()
  #resolveClosed!: (closed: Closed) => void
  /** The answer of `maxDatagram` after the end of the connection. */
  readonly #firstMaxDatagram: number
  /** How the connection ended; undefined while it exists. */
  #end: Closed | undefined
  #transferred = false
  #lastStats: SocketStats | undefined
  #readable: ReadableStream<Uint8Array> | undefined
  #writable: WritableStream<Uint8Array> | undefined
  // The open super-packet: `send` has put datagrams of `#segmentSize` bytes into `#chunk`.
  #chunk: Chunk | undefined
  #segmentSize = 0

  /** @internal Sockets come from `Stack.connect`, `Listener.accept` and `Socket.attach`. */
  constructor(home: SocketHome, { slot, generation }: FlowId, localAddress: string) {
    const { flows } = home
    const base = flows.base(slot)
    const ports = flows.words[base + Field.ports]
    const family = flows.words[base + Field.family]
    this.#home = home
    this.slot = slot
    this.generation = generation
    this.localAddress = localAddress
    this.localPort = ports & 0xffff
    this.remoteAddress = fromWords(family, flows.words, base + Field.remote).text
    this.remotePort = ports >>> 16
    this.#firstMaxDatagram = flows.words[base + Field.maxDatagram]
    this.#maxPayload = Math.min(Egress.maxPayload(family), chunkBytes)
    this.#queue = new ReceiveQueue(home.chunks, home.receiveBytes)
    this.closed = new Promise(resolve => {
      this.#resolveClosed = resolve
    })
  }

  /**
   * Largest datagram, in bytes: the MTU less the IP and TCP headers. It shrinks when a router on the path says that
   * packets are too big.
   */
  get maxDatagram(): number {
    return this.#end === undefined ? this.#home.flows.load(this.slot, Field.maxDatagram) : this.#firstMaxDatagram
  }

  /**
   * Takes over a connection that another thread of this process gave away with `transfer`. Datagrams that were received
   * there and not read come first. All later ones come to this thread directly. Rejects with CLOSED when the connection
   * is gone or another thread has attached it, with CONSUMERS_EXHAUSTED when too many threads have sockets of its
   * stack, and with DEVICE when the kernel refuses a descriptor.
   */
  static async attach(handle: SocketHandle): Promise<Socket> {
    return ConsumerThread.attach(handle, (home, flow, local) => new Socket(home, flow, local))
  }

  /**
   * Gives the connection to another thread: post the returned handle to a worker thread of this process, and call
   * `Socket.attach` there. That thread also gets what was received here and not read. From now on this socket neither
   * sends nor receives: the methods for that throw TRANSFERRED. `close`, `closed` and `stats` still work. Throws CLOSED
   * or TRANSFERRED.
   */
  transfer(): SocketHandle {
    this.#checkOpen()
    this.flush()
    this.#transferred = true
    this.#readers.resolveAll(undefined)
    this.#home.offered(this)
    const { shared, receiveBytes } = this.#home
    return { shared, receiveBytes, slot: this.slot, generation: this.generation }
  }

  /**
   * Copies one datagram (1 … `maxDatagram` bytes) into a super-packet. The super-packet is written when it is full,
   * when a datagram of another size comes, at `flush`, or at the end of this turn of the event loop. Throws
   * DATAGRAM_SIZE, CLOSED or TRANSFERRED.
   */
  send(datagram: Uint8Array): void {
    this.#checkOpen()
    const { length } = datagram
    if (length === 0 || length > this.maxDatagram) throw sizeError(this.maxDatagram, length)
    let chunk = this.#chunk
    if (chunk !== undefined && (length > this.#segmentSize || chunk.end + length > this.#maxPayload)) {
      this.flush()
      chunk = undefined
    }
    if (chunk === undefined) {
      chunk = this.#home.chunks.take()
      this.#chunk = chunk
      this.#segmentSize = length
      this.#home.flushLater(this)
    }
    chunk.bytes.set(datagram, chunk.end)
    chunk.end += length
    // A shorter datagram can only be the last of its super-packet.
    if (length < this.#segmentSize) this.flush()
  }

  /** Writes at once what `send` has collected. */
  flush(): void {
    const chunk = this.#chunk
    if (chunk === undefined) return
    this.#chunk = undefined
    const { egress, chunks } = this.#home
    const span = outgoing.over(chunk.bytes, this.#segmentSize)
    span.length = chunk.end
    egress.dataOf(this, span, native.clock())
    chunks.give(chunk)
  }

  /**
   * Writes equal datagrams at once, without a copy. `bytes` has them back to back, `segmentSize` bytes each; the last
   * one may be shorter. Returns the number of datagrams written. When the device refuses some it is lower, and
   * `Stack.stats()` counts the refused ones. Throws DATAGRAM_SIZE, CLOSED or TRANSFERRED.
   */
  sendBatch(bytes: Uint8Array, segmentSize: number): number {
    this.#checkOpen()
    if (!Number.isInteger(segmentSize) || segmentSize < 1 || segmentSize > this.maxDatagram || bytes.length === 0) {
      throw sizeError(this.maxDatagram, bytes.length === 0 ? 0 : segmentSize)
    }
    this.flush()
    const { egress } = this.#home
    return egress.dataCut(this, outgoing.over(bytes, segmentSize), this.#maxPayload, native.clock())
  }

  /**
   * Resolves with the next datagram, which the caller may keep. Resolves with undefined once the connection is closed
   * and everything was read. Rejects with ABORTED when `signal` aborts, or with TRANSFERRED.
   */
  async recv(options?: { signal?: AbortSignal }): Promise<Uint8Array | undefined> {
    for (;;) {
      this.#checkHere()
      const datagram = this.#queue.takeDatagram()
      if (datagram !== undefined || this.#end !== undefined) return datagram
      await this.#readers.wait(options?.signal)
    }
  }

  /**
   * Copies the next datagram into `buffer`, and resolves with its length. Resolves with undefined once the connection
   * is closed and everything was read. Rejects with DATAGRAM_SIZE when the datagram does not fit; it can still be read
   * then. Rejects with ABORTED when `signal` aborts, or with TRANSFERRED.
   */
  async recvInto(buffer: Uint8Array, options?: { signal?: AbortSignal }): Promise<number | undefined> {
    for (;;) {
      const length = this.tryRecvInto(buffer)
      if (length >= 0) return length
      if (this.#end !== undefined) return undefined
      await this.#readers.wait(options?.signal)
    }
  }

  /** As `recvInto`, but does not wait and allocates nothing. -1: there is no datagram now. */
  tryRecvInto(buffer: Uint8Array): number {
    this.#checkHere()
    const length = this.#queue.nextLength
    if (length === 0) return -1
    if (length > buffer.length) {
      throw new FakeTcpError(
        ErrorCode.DATAGRAM_SIZE,
        `The next datagram has ${length} bytes, the buffer only ${buffer.length}: give it ${this.maxDatagram} to fit any.`,
      )
    }
    return this.#queue.takeInto(buffer)
  }

  /** Yields datagrams as `recv` returns them, until the connection is closed and everything was read. */
  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    return this.#each(() => this.#queue.takeDatagram())
  }

  /** Yields datagrams that arrived together, as a view that is valid until the next step. */
  batches(): AsyncGenerator<DatagramBatch, void, undefined> {
    return this.#each(() => this.#queue.takeBatch())
  }

  /** A Web Stream of what arrives, one datagram per chunk. Use either it or the methods above. */
  get readable(): ReadableStream<Uint8Array> {
    this.#readable ??= readableOf(this)
    return this.#readable
  }

  /** A Web Stream that sends one datagram per chunk. */
  get writable(): WritableStream<Uint8Array> {
    this.#writable ??= writableOf(this)
    return this.#writable
  }

  /** What the connection has carried so far; after its end, what it had carried. */
  stats(): SocketStats {
    return this.#lastStats ?? this.#readStats()
  }

  /** Flushes, sends RST, and resolves once the connection is gone. May be called again. */
  async close(): Promise<void> {
    if (this.#end === undefined) {
      this.flush()
      this.#home.end(this)
    }
    await this.closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  toString(): string {
    return `fake TCP ${endpoint(this.localAddress, this.localPort)} - ${endpoint(this.remoteAddress, this.remotePort)}`
  }

  /** @internal As `HeldSocket.deliver`. */
  deliver(lane: LaneReader, span: Span): number {
    const taken = this.#queue.push(lane, span)
    this.#home.leaveLaneLater(this)
    this.#readers.resolveAll(undefined)
    return taken
  }

  /** @internal As `HeldSocket.receivedBefore`. */
  receivedBefore(residue: readonly Residue[]): void {
    this.#queue.prepend(residue)
    this.#readers.resolveAll(undefined)
  }

  /** @internal As `HeldSocket.surrender`. */
  surrender(): Residue[] {
    return this.#queue.takeAll()
  }

  /** @internal As `HeldSocket.leaveLane`. */
  leaveLane(): void {
    this.#queue.leaveLane()
  }

  /**
   * @internal The connection is gone. Call while its slot still has its counters. What was received can still be read.
   */
  ended(end: End): void {
    if (this.#end !== undefined) return
    this.#lastStats = this.#readStats()
    this.#end = { reason: closeReasons[end] }
    if (this.#chunk !== undefined) this.#home.chunks.give(this.#chunk)
    this.#chunk = undefined
    this.#readers.resolveAll(undefined)
    this.#resolveClosed(this.#end)
  }

  #readStats(): SocketStats {
    const { flows } = this.#home
    return {
      datagramsIn: flows.count(this.slot, Field.datagramsIn),
      bytesIn: flows.count(this.slot, Field.bytesIn),
      datagramsOut: flows.count(this.slot, Field.datagramsOut),
      bytesOut: flows.count(this.slot, Field.bytesOut),
      dropped: flows.count(this.slot, Field.overflow),
    }
  }

  /** Yields what `take` returns, until the connection is closed and everything was read. */
  async *#each<T>(take: () => T | undefined): AsyncGenerator<T, void, undefined> {
    try {
      for (;;) {
        this.#checkHere()
        const taken = take()
        if (taken !== undefined) yield taken
        else if (this.#end !== undefined) return
        else await this.#readers.wait()
      }
    } finally {
      this.#queue.endLoan()
    }
  }

  /** Throws TRANSFERRED. */
  #checkHere(): void {
    if (this.#transferred) {
      throw new FakeTcpError(
        ErrorCode.TRANSFERRED,
        'This connection was transferred: use the socket that `Socket.attach` returns.',
      )
    }
  }

  /** Throws TRANSFERRED or CLOSED. */
  #checkOpen(): void {
    this.#checkHere()
    if (this.#end !== undefined) {
      throw new FakeTcpError(ErrorCode.CLOSED, `This connection is closed (${this.#end.reason}).`)
    }
  }
}
