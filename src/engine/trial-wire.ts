import { native } from '../native.js'
import type { Device } from '../net/device.js'
import type { AddressPair } from '../net/pair.js'
import * as checksum from '../wire/checksum.js'
import * as ipv4 from '../wire/ipv4.js'
import * as ipv6 from '../wire/ipv6.js'
import * as tcp from '../wire/tcp.js'
import * as virtio from '../wire/virtio-net.js'

/** Port of our end. It is free: the stack has no connections yet. */
const ownPort = 65_000
const firstSeq = 1_000
const nothing = new Uint8Array(0)

/** A segment that the kernel sent to our end. */
export interface Found {
  /** Whether it is a SYN+ACK. */
  readonly opens: boolean
  readonly payload: Buffer
}

/**
 * One TCP connection from our end of a TUN interface to a socket at the kernel's end, without flow control and
 * retransmission.
 */
export class TrialWire {
  readonly #device: Device
  readonly #pair: AddressPair
  readonly #port: number
  readonly #bytes = new Uint8Array(70_000)
  #seq = firstSeq
  #ack = 0

  constructor(device: Device, pair: AddressPair, port: number) {
    this.#device = device
    this.#pair = pair
    this.#port = port
  }

  /** Sends a SYN. This method and the other ones that send answer bytes written or -errno. */
  syn(): number {
    const result = this.#write(tcp.Flag.syn, nothing, 0)
    this.#seq++
    return result
  }

  acknowledge(): number {
    return this.#write(tcp.Flag.ack, nothing, 0)
  }

  /** Sends one super-packet. The kernel cuts it and computes the checksums. */
  send(payload: Uint8Array, segmentSize: number): number {
    const result = this.#write(tcp.Flag.ack, payload, segmentSize)
    if (result >= 0) this.#seq += payload.length
    return result
  }

  /** Sends a part of the last `send` once more, as a plain packet with its checksum. */
  sendPlain(all: Uint8Array, at: number, length: number): number {
    const head = this.#head(tcp.Flag.ack, this.#seq - all.length + at, length, 0)
    const packet = Buffer.concat([head, all.subarray(at, at + length)])
    packet.fill(0, 0, this.#device.virtioSize)
    const from = this.#tcpAt
    tcp.setChecksum(packet, from, checksum.finish(checksum.sum(packet, from, packet.length - from, 0)))
    return native.write(this.#device.queues[0], packet, 0, packet.length)
  }

  reset(): number {
    return this.#write(tcp.Flag.rst, nothing, 0)
  }

  /** Segments of this connection that the kernel has sent since the last call, on any queue. Drops other packets. */
  read(): Found[] {
    const found: Found[] = []
    for (const queue of this.#device.queues) {
      for (;;) {
        const length = native.read(queue, this.#bytes, 0, this.#bytes.length)
        if (length <= 0) break
        const segment = this.#parse(length)
        if (segment !== undefined) found.push(segment)
      }
    }
    return found
  }

  get #tcpAt(): number {
    return this.#device.virtioSize + (this.#pair.host.family === 4 ? ipv4.minimumHeaderLength : ipv6.headerLength)
  }

  #parse(length: number): Found | undefined {
    const bytes = this.#bytes
    const ip = this.#device.virtioSize
    if (length < this.#tcpAt + tcp.headerLength || bytes[ip] >>> 4 !== this.#pair.host.family) return undefined
    const at = this.#tcpAt
    const header = tcp.check(bytes, at, length)
    if (header < 0 || tcp.sourcePort(bytes, at) !== this.#port || tcp.destinationPort(bytes, at) !== ownPort)
      return undefined
    const opens = (tcp.flags(bytes, at) & tcp.Flag.syn) !== 0
    if (opens) this.#ack = tcp.seq(bytes, at) + 1
    return { opens, payload: Buffer.from(bytes.slice(at + header, length)) }
  }

  #write(flags: number, payload: Uint8Array, gsoSize: number): number {
    const packet = Buffer.concat([this.#head(flags, this.#seq, payload.length, gsoSize), payload])
    return native.write(this.#device.queues[0], packet, 0, packet.length)
  }

  /** Headers that ask the kernel for the checksum and, with `gsoSize` > 0, for the cutting. */
  #head(flags: number, seq: number, length: number, gsoSize: number): Uint8Array {
    const { virtioSize } = this.#device
    const { host, stack } = this.#pair
    const head = new Uint8Array(this.#tcpAt + tcp.synHeaderLength)
    const at = this.#tcpAt
    const headerLength = tcp.emit(head, at, {
      sourcePort: ownPort,
      destinationPort: this.#port,
      seq,
      ack: this.#ack,
      flags,
    })
    const l4Length = headerLength + length
    let pseudo: number
    if (host.family === 4) {
      const totalLength = ipv4.minimumHeaderLength + l4Length
      ipv4.emit(head, virtioSize, { totalLength, id: 0, source: stack.words[0], destination: host.words[0] })
      const { source, destination } = ipv4.Offset
      pseudo = checksum.pseudo4(head, virtioSize + source, virtioSize + destination, l4Length)
    } else {
      ipv6.emit(head, virtioSize, { payloadLength: l4Length, source: stack.words, destination: host.words })
      const { source, destination } = ipv6.Offset
      pseudo = checksum.pseudo6(head, virtioSize + source, virtioSize + destination, l4Length)
    }
    tcp.setChecksum(head, at, checksum.fold(pseudo))
    const start = at - virtioSize
    virtio.emit(head, 0, virtioSize, {
      flags: virtio.Flag.needsCsum,
      gsoType: gsoSize === 0 ? virtio.Gso.none : host.family === 4 ? virtio.Gso.tcp4 : virtio.Gso.tcp6,
      hdrLen: start + headerLength,
      gsoSize,
      csumStart: start,
      csumOffset: tcp.Offset.checksum,
    })
    return head.subarray(0, at + headerLength)
  }
}
