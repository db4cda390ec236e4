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

/** Names the bytes that a socket of this thread sends. */
const outgoing = new Span()

export interface SocketStats {
  readonly datagramsIn: number
  readonly bytesIn: number
  readonly datagramsOut: number
  readonly bytesOut: number
  /** Datagrams that arrived and were dropped because this socket was read too slowly. */
  readonly dropped: number
}

/**
 * One connection. Datagrams leave in the order they were sent and arrive in the order the network left them: nothing is
 * retransmitted, nothing waits for anything else.
 */
export class Socket implements AsyncIterable<Uint8Array>, AsyncDisposable {
  readonly localAddress: string
  readonly localPort: number
  readonly remoteAddress: string
  readonly remotePort: number
  /** Settles when the connection is gone, whoever ended it. Never rejects. */
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
  readonly #firstMaxDatagram: number
  #end: Closed | undefined
  #transferred = false
  #lastStats: SocketStats | undefined
  #readable: ReadableStream<Uint8Array> | undefined
  #writable: WritableStream<Uint8Array> | undefined
  // The open super-packet: `chunk` holds datagrams of `segmentSize` bytes.
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
   * Takes over a connection that another thread of this process gave away with `transfer`: what it had not read comes
   * first, then datagrams come to this thread directly. Rejects with CLOSED when the connection is gone or somebody
   * else has attached it, with CONSUMERS_EXHAUSTED when too many threads hold sockets of its stack.
   */
  static async attach(handle: SocketHandle): Promise<Socket> {
    return ConsumerThread.attach(handle, (home, flow, local) => new Socket(home, flow, local))
  }

  /**
   * Gives the connection to another thread: post the handle to a worker of this process, and call `Socket.attach`
   * there. Here nothing but `close`, `closed` and `stats` works from now on; what was received and not read goes along.
   * Throws CLOSED or TRANSFERRED.
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
   * Queues one datagram (1 … `maxDatagram` bytes, copied) for this turn's super-packet, which leaves when it is full,
   * when a datagram of another size follows, at `flush`, or when the turn of the event loop ends. Throws DATAGRAM_SIZE
   * or CLOSED.
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

  /** Writes the open super-packet now. */
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
   * Writes equal datagrams at once, without a copy: `bytes` holds them back to back, `segmentSize` bytes each, the last
   * one possibly shorter. Answers the number written; fewer than given when the device was full, and `stats()` counts
   * them. Throws DATAGRAM_SIZE or CLOSED.
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

  /** The next datagram, yours to keep; undefined once the connection is closed and everything was read. */
  async recv(options?: { signal?: AbortSignal }): Promise<Uint8Array | undefined> {
    for (;;) {
      this.#checkHere()
      const datagram = this.#queue.takeDatagram()
      if (datagram !== undefined || this.#end !== undefined) return datagram
      await this.#readers.wait(options?.signal)
    }
  }

  /**
   * Copies the next datagram into `buffer`; its length, or undefined once the connection is closed and everything was
   * read. Throws DATAGRAM_SIZE when it does not fit; it can still be read then.
   */
  async recvInto(buffer: Uint8Array, options?: { signal?: AbortSignal }): Promise<number | undefined> {
    for (;;) {
      const length = this.tryRecvInto(buffer)
      if (length >= 0) return length
      if (this.#end !== undefined) return undefined
      await this.#readers.wait(options?.signal)
    }
  }

  /** The same without waiting and without any allocation: -1 when nothing is there. */
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

  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    return this.#each(() => this.#queue.takeDatagram())
  }

  /** Datagrams as they arrived together: views, valid until the next step. */
  batches(): AsyncGenerator<DatagramBatch, void, undefined> {
    return this.#each(() => this.#queue.takeBatch())
  }

  /** What arrives as a Web Stream, one datagram per chunk. Use it, or the methods above, not both. */
  get readable(): ReadableStream<Uint8Array> {
    this.#readable ??= readableOf(this)
    return this.#readable
  }

  /** A Web Stream that sends one datagram per chunk. */
  get writable(): WritableStream<Uint8Array> {
    this.#writable ??= writableOf(this)
    return this.#writable
  }

  stats(): SocketStats {
    return this.#lastStats ?? this.#readStats()
  }

  /** Flushes, sends RST, and resolves once the connection is gone. Idempotent. */
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

  /** @internal Datagrams as they lie in a lane: bytes taken, which are released once they were read. */
  deliver(lane: LaneReader, span: Span): number {
    const taken = this.#queue.push(lane, span)
    this.#home.leaveLaneLater(this)
    this.#readers.resolveAll(undefined)
    return taken
  }

  /** @internal What another thread had received before this one took over. */
  receivedBefore(residue: readonly Residue[]): void {
    this.#queue.prepend(residue)
    this.#readers.resolveAll(undefined)
  }

  /** @internal What was not read goes to another thread. */
  surrender(): Residue[] {
    return this.#queue.takeAll()
  }

  /** @internal What was not read by now must leave its lane. */
  leaveLane(): void {
    this.#queue.leaveLane()
  }

  /** @internal The connection is gone. Call before its slot is freed. What was received can still be read. */
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

  #checkHere(): void {
    if (this.#transferred) {
      throw new FakeTcpError(
        ErrorCode.TRANSFERRED,
        'This connection was transferred: use the socket that `Socket.attach` returns.',
      )
    }
  }

  #checkOpen(): void {
    this.#checkHere()
    if (this.#end !== undefined) {
      throw new FakeTcpError(ErrorCode.CLOSED, `This connection is closed (${this.#end.reason}).`)
    }
  }
}
