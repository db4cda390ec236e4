import { Counter, faultCounter } from '../memory/counters.js'
import type { SharedStack } from '../memory/shared-stack.js'
import { Span } from '../memory/span.js'
import type { Tuple } from '../memory/tuple.js'
import { native } from '../native.js'
import * as checksum from '../wire/checksum.js'
import { Fault } from '../wire/fault.js'
import * as ipv4 from '../wire/ipv4.js'
import * as ipv6 from '../wire/ipv6.js'
import * as tcp from '../wire/tcp.js'
import * as virtio from '../wire/virtio-net.js'
import type { Packet } from './packet.js'

/**
 * What `Classifier.parse` found: one TCP segment, or the equal segments of a super-packet. Filled again for each
 * packet.
 */
export class Segment implements Tuple {
  family = 0
  ports = 0
  r0 = 0
  r1 = 0
  r2 = 0
  r3 = 0
  /** Bit set of `tcp.Flag`. */
  flags = 0
  /** Sequence number of the first payload byte. */
  seq = 0
  ack = 0
  /** One datagram, or the equal datagrams of a super-packet. None if its `length` is 0. */
  readonly payload = new Span()

  get localPort(): number {
    return this.ports & 0xffff
  }
}

/** What `Classifier.parse` returns for a packet that passes. */
export const accepted = -1

/** Checks inbound packets: virtio-net header, IP header, addresses, TCP header, checksum. Parses those that pass. */
export class Classifier {
  /** The segment that was parsed last. */
  readonly segment = new Segment()
  readonly #virtioSize: number
  readonly #has4: boolean
  readonly #has6: boolean
  readonly #local4: number
  readonly #local6: Int32Array

  constructor(shared: SharedStack) {
    this.#virtioSize = shared.device.virtioSize
    this.#has4 = shared.has4
    this.#has6 = shared.has6
    this.#local4 = shared.address4[0]
    this.#local6 = shared.address6
  }

  /** Returns `accepted`, and `segment` is filled. Or returns the counter to raise, which is ≥ 0. */
  parse({ memory, bytes, at, length, sum }: Packet): number {
    const s = this.segment
    const end = at + length
    const ip = at + this.#virtioSize
    let gsoSize = 0
    let trusted = false
    if (this.#virtioSize !== 0) {
      const fault = virtio.check(bytes, at, end, this.#virtioSize)
      if (fault < 0) return faultCounter(fault)
      gsoSize = virtio.gsoType(bytes, at) === virtio.Gso.none ? 0 : virtio.gsoSize(bytes, at)
      trusted = virtio.checksumTrusted(bytes, at)
    }
    if (end - ip < ipv4.minimumHeaderLength) return faultCounter(Fault.frameTooShort)
    const version = bytes[ip] >>> 4
    let segmentEnd: number
    let segmentAt: number
    let pseudo: number
    if (version === 4) {
      const header = ipv4.check(bytes, ip, end)
      if (header < 0) return header === Fault.ipv4Protocol ? Counter.otherProtocol : faultCounter(header)
      segmentAt = ip + header
      segmentEnd = ip + ipv4.totalLength(bytes, ip)
      s.r0 = ipv4.source(bytes, ip) | 0
      s.r1 = s.r2 = s.r3 = 0
      if (!this.#has4 || (ipv4.destination(bytes, ip) | 0) !== this.#local4) return Counter.notForUs
      if (s.r0 === this.#local4) return Counter.ownSource
      if (!ipv4.usableSource(s.r0 >>> 0)) return faultCounter(Fault.sourceAddress)
      pseudo = checksum.pseudo4(bytes, ip + ipv4.Offset.source, ip + ipv4.Offset.destination, segmentEnd - segmentAt)
    } else if (version === 6) {
      const header = ipv6.check(bytes, ip, end)
      if (header < 0) return header === Fault.ipv6Protocol ? Counter.otherProtocol : faultCounter(header)
      segmentAt = ip + header
      segmentEnd = ip + ipv6.headerLength + ipv6.payloadLength(bytes, ip)
      s.r0 = ipv6.word(bytes, ip, 0) | 0
      s.r1 = ipv6.word(bytes, ip, 1) | 0
      s.r2 = ipv6.word(bytes, ip, 2) | 0
      s.r3 = ipv6.word(bytes, ip, 3) | 0
      if (!this.#has6 || !this.#isLocal6(bytes, ip)) return Counter.notForUs
      const local = this.#local6
      if (s.r3 === local[3] && s.r2 === local[2] && s.r1 === local[1] && s.r0 === local[0]) return Counter.ownSource
      if (!ipv6.usableSource(bytes, ip)) return faultCounter(Fault.sourceAddress)
      pseudo = checksum.pseudo6(bytes, ip + ipv6.Offset.source, ip + ipv6.Offset.destination, segmentEnd - segmentAt)
    } else {
      return faultCounter(Fault.ipVersion)
    }
    const header = tcp.check(bytes, segmentAt, segmentEnd)
    if (header < 0) return faultCounter(header)
    // The kernel vouches for a checksum that it or a network card has verified, and for a packet that was never on a
    // wire. All others are verified here.
    if (!trusted) {
      const whole = sum >= 0 && segmentEnd === end && ip === at
      const total = whole
        ? checksum.fold(sum + pseudo + headerComplement(bytes, ip, segmentAt))
        : native.checksum(memory, segmentAt, segmentEnd - segmentAt, pseudo)
      if (total !== 0xffff) return faultCounter(Fault.tcpChecksum)
    }
    s.family = version
    s.ports = (tcp.sourcePort(bytes, segmentAt) << 16) | tcp.destinationPort(bytes, segmentAt)
    s.flags = tcp.flags(bytes, segmentAt)
    s.seq = tcp.seq(bytes, segmentAt)
    s.ack = tcp.ack(bytes, segmentAt)
    const { payload } = s
    payload.memory = memory
    payload.bytes = bytes
    payload.at = segmentAt + header
    payload.length = segmentEnd - payload.at
    payload.segmentSize = gsoSize === 0 || gsoSize > payload.length ? payload.length : gsoSize
    return accepted
  }

  #isLocal6(bytes: Uint8Array, ip: number): boolean {
    const local = this.#local6
    return (
      (ipv6.word(bytes, ip, 7) | 0) === local[3] &&
      (ipv6.word(bytes, ip, 6) | 0) === local[2] &&
      (ipv6.word(bytes, ip, 5) | 0) === local[1] &&
      (ipv6.word(bytes, ip, 4) | 0) === local[0]
    )
  }
}

/**
 * The number that takes the IP header out of a sum over the whole packet. A valid IPv4 header has the sum 0xffff, which
 * is 0 in ones' complement: nothing to take out.
 */
const headerComplement = (bytes: Uint8Array, ip: number, segmentAt: number): number =>
  bytes[ip] >>> 4 === 4 ? 0 : ~checksum.fold(checksum.sum(bytes, ip, segmentAt - ip, 0)) & 0xffff
