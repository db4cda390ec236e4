import { Errno, type Memory, Message, native } from '../native.js'
import type { Batch } from '../workers/batch.js'
import type { ServiceContext } from '../workers/service.js'
import type { UdpSocket } from './udp-socket.js'

/** The kernel cuts a message into at most this many datagrams (UDP_MAX_SEGMENTS, before Linux 6.9). */
const maxSegments = 64
/** Largest UDP payload over IPv4. */
const maxMessage = 65_507
const maxRecords = 128
const maxPieces = 1_024

/** Where messages go on an unconnected socket; kept per UDP peer. All zero for a connected one. */
export interface Destination {
  readonly port: number
  /** As `Message.address`: four words as they lie in memory. */
  readonly address: Int32Array
  /** Address to answer from, same form. */
  readonly local: Int32Array
  readonly scope: number
}

export const connected: Destination = { port: 0, address: new Int32Array(4), local: new Int32Array(4), scope: 0 }

/** Fake TCP → UDP in one worker: whole super-packets leave as one message each (UDP_SEGMENT), several messages per system call. */
export class UdpOutlet {
  readonly #context: ServiceContext
  /** Records first, then the pieces they name. */
  readonly #vec = new Int32Array(maxRecords * Message.words + maxPieces * 2)
  readonly #arena = native.arenaOpen(new Uint8Array(this.#vec.buffer))
  #records = 0
  #pieces = 0
  #memory: Memory = 0
  #socket: UdpSocket | undefined
  /** 1 once the kernel or a device has refused to cut messages. */
  #maxSegments = maxSegments

  constructor(context: ServiceContext) {
    this.#context = context
  }

  /** Gathers a batch's datagrams; they leave with `flush`, or before when another socket or memory follows. */
  add(socket: UdpSocket, to: Destination, batch: Batch): void {
    if (this.#records > 0 && (socket !== this.#socket || batch.memory !== this.#memory)) this.flush()
    this.#socket = socket
    this.#memory = batch.memory
    const { run } = batch
    const segments = Math.min(this.#maxSegments, Math.max(1, Math.floor(maxMessage / run.segmentSize)))
    const most = segments * run.segmentSize
    let room = 0
    for (let i = 0; i < run.pieces; i++) {
      let at = run.vec[i * 2]
      let left = run.vec[i * 2 + 1]
      while (left > 0) {
        if (room === 0 || this.#pieces === maxPieces) {
          this.#begin(to, run.segmentSize)
          room = most
        }
        const length = Math.min(left, room)
        this.#piece(at, length)
        at += length
        left -= length
        room -= length
      }
    }
  }

  flush(): void {
    const socket = this.#socket
    let first = 0
    const records = this.#records
    while (socket !== undefined && first < records) {
      const vecAt = first * Message.words
      const sent = native.udpSend(socket.fd, socket.family, this.#memory, this.#arena, vecAt, records - first)
      if (sent > 0) {
        first += sent
        continue
      }
      if (!this.#retrySingly(socket, vecAt, sent)) this.#context.count('udpSendFailed', this.#datagrams(vecAt))
      first++
    }
    this.#records = 0
    this.#pieces = 0
  }

  #begin(to: Destination, segmentSize: number): void {
    if (this.#records === maxRecords || this.#pieces === maxPieces) this.flush()
    const vec = this.#vec
    const at = this.#records++ * Message.words
    vec[at + Message.at] = maxRecords * Message.words + this.#pieces * 2
    vec[at + Message.length] = 0
    vec[at + Message.segmentSize] = segmentSize
    vec[at + Message.port] = to.port
    vec.set(to.address, at + Message.address)
    vec.set(to.local, at + Message.local)
    vec[at + Message.scope] = to.scope
  }

  #piece(at: number, length: number): void {
    const pair = maxRecords * Message.words + this.#pieces++ * 2
    this.#vec[pair] = at
    this.#vec[pair + 1] = length
    this.#vec[(this.#records - 1) * Message.words + Message.length]++
  }

  #bytes(record: number): number {
    const first = this.#vec[record + Message.at]
    let bytes = 0
    for (let i = 0; i < this.#vec[record + Message.length]; i++) bytes += this.#vec[first + i * 2 + 1]
    return bytes
  }

  #datagrams(record: number): number {
    return Math.ceil(this.#bytes(record) / this.#vec[record + Message.segmentSize])
  }

  /** EIO: the device cannot checksum. EINVAL: a datagram exceeds the device's MTU. Each datagram on its own still gets through. */
  #retrySingly(socket: UdpSocket, record: number, result: number): boolean {
    const segment = this.#vec[record + Message.segmentSize]
    if ((result !== -Errno.EIO && result !== -Errno.EINVAL) || this.#bytes(record) <= segment) return false
    if (result === -Errno.EIO) this.#maxSegments = 1
    const single = new Int32Array(Message.words + 2)
    single.set(this.#vec.subarray(record, record + Message.words))
    single[Message.at] = Message.words
    single[Message.length] = 1
    single[Message.segmentSize] = 0
    const vec = native.arenaOpen(new Uint8Array(single.buffer))
    const first = this.#vec[record + Message.at]
    for (let i = 0; i < this.#vec[record + Message.length]; i++) {
      const end = this.#vec[first + i * 2] + this.#vec[first + i * 2 + 1]
      for (let at = this.#vec[first + i * 2]; at < end; at += segment) {
        single[Message.words] = at
        single[Message.words + 1] = Math.min(segment, end - at)
        const sent = native.udpSend(socket.fd, socket.family, this.#memory, vec, 0, 1)
        if (sent !== 1) this.#context.count('udpSendFailed')
      }
    }
    native.arenaClose(vec)
    return true
  }
}
