import { Message, native, Ready, UdpFlag } from '../native.js'
import { succeeded } from './part.js'

const loopback = Uint8Array.of(127, 0, 0, 1)
/** Bytes of each socket buffer. The kernel gives less where it does not let this process exceed its limit. */
const bufferBytes = 16 * 1024 * 1024

/** Maximum number of messages per system call. */
const messages = 32
/** Bytes of room for a received message, enough for the largest one that the kernel merges (UDP_GRO). */
const stride = 65_536
/** Maximum number of receiving system calls per wake-up, so that timers get their turn. */
const budget = 16
/** The kernel cuts a message into at most this many datagrams (UDP_MAX_SEGMENTS, before Linux 6.9). */
const maxSegments = 64
/** Largest UDP payload over IPv4. */
const maxMessage = 65_507
const maxOutgoing = 8 * maxMessage

/** Takes a datagram of `length` bytes at `at`. `bytes` is only valid during the call. */
export type OnDatagram = (bytes: Uint8Array, at: number, length: number) => void

/** A UDP socket on 127.0.0.1 that sends and receives many datagrams per system call. */
export class UdpPort {
  /** Buffer for datagrams to be sent. The caller writes each one at the offset that `add` returns. */
  readonly outgoing = new Uint8Array(maxOutgoing)
  readonly #fd = succeeded(native.udpOpen(4, UdpFlag.gro), 'A UDP socket')
  readonly #outgoingArena = native.arenaOpen(this.outgoing)
  readonly #incoming = new Uint8Array(messages * stride)
  readonly #incomingArena = native.arenaOpen(this.#incoming)
  readonly #records = new Int32Array(messages * Message.words)
  readonly #recordsArena = native.arenaOpen(new Uint8Array(this.#records.buffer))
  /** Records of outgoing messages, followed by one piece (offset, length) for each message. */
  readonly #out = new Int32Array(messages * (Message.words + 2))
  readonly #outArena = native.arenaOpen(new Uint8Array(this.#out.buffer))
  readonly #poller: InstanceType<typeof native.Poller>
  #onDatagram: OnDatagram = () => {}
  #onIdle = () => {}
  #connected = false
  /** Number of messages added since the last `flush`, and the end of their bytes in `outgoing`. */
  #queued = 0
  #end = 0
  /** Datagrams in each message. */
  readonly #segments = new Int32Array(messages)
  /** Bytes per datagram of the last message; 0 when no more datagrams may be added to it. */
  #size = 0
  /** Record of the last message received, whose source gets what is sent. All zero once the port is connected. */
  readonly #peer = new Int32Array(Message.words)

  constructor() {
    // A kernel that grants smaller buffers is good enough.
    void native.socketBuffers(this.#fd, bufferBytes, bufferBytes)
    this.#poller = new native.Poller(native.arenaOpen(new Uint8Array(64)), 4, () => this.#drain())
    succeeded(this.#poller.add(this.#fd, 0, Ready.read), 'epoll')
  }

  /** Binds to a UDP port, or with 0 to one that the kernel chooses. Returns the port. */
  bind(port: number): number {
    succeeded(native.udpBind(this.#fd, loopback, port, 0), `UDP port ${port}`)
    return native.udpPort(this.#fd)
  }

  /** Connects to a UDP port of 127.0.0.1: `flush` sends to it, and only its datagrams are received. */
  connect(port: number): void {
    succeeded(native.udpConnect(this.#fd, loopback, port, 0), `UDP port ${port}`)
    this.#connected = true
  }

  /** Sets the callbacks. `onIdle` is called after the datagrams of each turn of the event loop. Both may send. */
  listen(onDatagram: OnDatagram, onIdle: () => void = () => {}): void {
    this.#onDatagram = onDatagram
    this.#onIdle = onIdle
  }

  /**
   * Adds a datagram of `length` bytes and returns its offset in `outgoing`, where the caller writes it before `flush`.
   * -1 when there is no room before the next `flush`.
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

  /** Sends all added datagrams, and returns how many the kernel took. It drops the others. */
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

  /** Begins a message with one datagram. */
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

  /** Adds a datagram to the last message. A datagram that is shorter than the others ends the message. */
  #lengthen(length: number): void {
    const last = this.#queued - 1
    this.#out[last * Message.words + Message.segmentSize] = this.#size
    this.#out[messages * Message.words + last * 2 + 1] += length
    this.#segments[last]++
    if (length < this.#size) this.#size = 0
  }

  /** Receives datagrams, up to `budget` system calls, and calls the callbacks. */
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
