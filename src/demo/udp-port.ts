import { Message, native, Ready, UdpFlag } from '../native.js'
import { succeeded } from './part.js'

const loopback = Uint8Array.of(127, 0, 0, 1)
/** Socket buffers, in bytes; the kernel's limit where it doesn't let us choose. */
const bufferBytes = 16 * 1024 * 1024

/** Messages per system call. */
const messages = 32
/** Room of a received message: the largest the kernel merges (UDP_GRO). */
const stride = 65_536
/** System calls per wake, before timers get their turn. */
const budget = 16
/** Datagrams of equal size per message (UDP_SEGMENT; UDP_MAX_SEGMENTS before Linux 6.9), and their bytes. */
const maxSegments = 64
const maxMessage = 65_507
const maxOutgoing = 8 * maxMessage

/** Bytes, offset and length of a datagram; valid during the call only. */
export type OnDatagram = (bytes: Uint8Array, at: number, length: number) => void

/** A UDP socket on 127.0.0.1 that sends and receives many datagrams per system call. */
export class UdpPort {
  /** Where datagrams to be sent are written, at the places that `add` names. */
  readonly outgoing = new Uint8Array(maxOutgoing)
  readonly #fd = succeeded(native.udpOpen(4, UdpFlag.gro), 'A UDP socket')
  readonly #outgoingArena = native.arenaOpen(this.outgoing)
  readonly #incoming = new Uint8Array(messages * stride)
  readonly #incomingArena = native.arenaOpen(this.#incoming)
  readonly #records = new Int32Array(messages * Message.words)
  readonly #recordsArena = native.arenaOpen(new Uint8Array(this.#records.buffer))
  /** Records of outgoing messages, then one piece (offset, length) for each. */
  readonly #out = new Int32Array(messages * (Message.words + 2))
  readonly #outArena = native.arenaOpen(new Uint8Array(this.#out.buffer))
  readonly #poller: InstanceType<typeof native.Poller>
  #onDatagram: OnDatagram = () => {}
  #onIdle = () => {}
  #connected = false
  /** Messages added, and the end of their bytes. */
  #queued = 0
  #end = 0
  /** Datagrams in each message. */
  readonly #segments = new Int32Array(messages)
  /** Bytes per datagram of the last message; 0 when it takes no more. */
  #size = 0
  /** Where answers go: record of the last message received. */
  readonly #peer = new Int32Array(Message.words)

  constructor() {
    native.socketBuffers(this.#fd, bufferBytes, bufferBytes)
    this.#poller = new native.Poller(native.arenaOpen(new Uint8Array(64)), 4, () => this.#drain())
    succeeded(this.#poller.add(this.#fd, 0, Ready.read), 'epoll')
  }

  /** Answers the port; with 0 the kernel chooses one. */
  bind(port: number): number {
    succeeded(native.udpBind(this.#fd, loopback, port, 0), `UDP port ${port}`)
    return native.udpPort(this.#fd)
  }

  /** From now on `flush` sends there, and only what comes from there is received. */
  connect(port: number): void {
    succeeded(native.udpConnect(this.#fd, loopback, port, 0), `UDP port ${port}`)
    this.#connected = true
  }

  /** `onIdle`: after all that was there, or as much as one turn takes. Both may send. */
  listen(onDatagram: OnDatagram, onIdle: () => void = () => {}): void {
    this.#onDatagram = onDatagram
    this.#onIdle = onIdle
  }

  /**
   * Place in `outgoing` for a datagram of `length` bytes, to be written before `flush`; -1 when `flush` must come
   * first.
   */
  add(length: number): number {
    const at = this.#end
    if (at + length > maxOutgoing) return -1
    const segments = this.#segments[this.#queued - 1] + 1
    if (length <= this.#size && segments <= maxSegments && segments * this.#size <= maxMessage) {
      this.#lengthen(length)
    } else {
      if (this.#queued === messages) return -1
      this.#begin(at, length)
    }
    this.#end = at + length
    return at
  }

  /** Sends what was added, and answers how many datagrams the kernel took; the others are gone. */
  flush(): number {
    const queued = this.#queued
    this.#queued = 0
    this.#end = 0
    this.#size = 0
    const sent = queued === 0 ? 0 : native.udpSend(this.#fd, 4, this.#outgoingArena, this.#outArena, 0, queued)
    let datagrams = 0
    for (let i = 0; i < sent; i++) datagrams += this.#segments[i]
    return datagrams
  }

  close(): void {
    this.#poller.close()
    native.close(this.#fd)
  }

  /** Starts a message of one datagram. */
  #begin(at: number, length: number): void {
    const out = this.#out
    const record = this.#queued * Message.words
    const piece = messages * Message.words + this.#queued * 2
    out.set(this.#peer, record)
    out[record + Message.at] = piece
    out[record + Message.length] = 1
    out[record + Message.segmentSize] = 0
    out[piece] = at
    out[piece + 1] = length
    this.#segments[this.#queued++] = 1
    this.#size = length
  }

  /** Adds one more datagram to the last message: as long as the ones before it, or shorter and the last. */
  #lengthen(length: number): void {
    const last = this.#queued - 1
    this.#out[last * Message.words + Message.segmentSize] = this.#size
    this.#out[messages * Message.words + last * 2 + 1] += length
    this.#segments[last]++
    if (length < this.#size) this.#size = 0
  }

  #drain(): void {
    const records = this.#records
    for (let call = 0; call < budget; call++) {
      const count = native.udpReceive(this.#fd, this.#incomingArena, 0, stride, messages, this.#recordsArena, 0)
      for (let i = 0; i < count; i++) {
        const record = i * Message.words
        if (!this.#connected) this.#peer.set(records.subarray(record, record + Message.words))
        const end = records[record + Message.at] + records[record + Message.length]
        const size = records[record + Message.segmentSize] || records[record + Message.length]
        for (let at = records[record + Message.at]; at < end; at += size) {
          this.#onDatagram(this.#incoming, at, Math.min(size, end - at))
        }
      }
      if (count < messages) break
    }
    this.#onIdle()
  }
}
