/**
 * The two messages that report a path MTU: ICMPv4 "fragmentation needed" (RFC 1191 §4) and ICMPv6 "packet too big" (RFC
 * 8201, RFC 4443 §3.2). Both quote the packet that was too big. The caller decides whether that packet was ours, and in
 * flight.
 */
import { u16, u32 } from './bytes.js'
import { pseudo6, sum } from './checksum.js'
import { Fault } from './fault.js'
import { Protocol } from './ip.js'
import * as ipv4 from './ipv4.js'
import * as ipv6 from './ipv6.js'
import * as tcp from './tcp.js'

/** Byte offsets from the first byte of the ICMP header. */
export const Offset = { type: 0, code: 1, checksum: 2, mtu6: 4, mtu4: 6, quote: 8 } as const

/** ICMPv4 type 3, code 4. */
const unreachable = 3
const fragmentationNeeded = 4
/** ICMPv6 type 2; its code is ignored on receipt (RFC 4443 §3.2). */
const packetTooBig = 2

/** RFC 792 guarantees only these bytes of the quoted segment: ports and sequence number. */
const quotedSegment = 8

/**
 * 0, or a Fault. Call before any accessor. `at`: offset of the ICMP header. `end`: where the IP packet ends. `version`:
 * 4 or 6. The sum of ICMPv6 includes a pseudo-header. `ipAt`: offset of the outer IPv6 header, needed when extension
 * headers stand before ICMPv6.
 */
export const check = (b: Uint8Array, at: number, end: number, version: number, ipAt: number = at - 40): number => {
  const length = end - at
  if (length < Offset.quote) return Fault.icmpTooShort
  const type = b[at]
  if (version === 4) {
    if (type !== unreachable || b[at + Offset.code] !== fragmentationNeeded) return Fault.icmpType
    if (sum(b, at, length) !== 0xffff) return Fault.icmpChecksum
    return quoteAcceptable4(b, at + Offset.quote, end) ? 0 : Fault.icmpQuote
  }
  if (type !== packetTooBig) return Fault.icmpType
  const pseudo = pseudo6(b, ipAt + ipv6.Offset.source, ipAt + ipv6.Offset.destination, length, Protocol.icmp6)
  if (sum(b, at, length, pseudo) !== 0xffff) return Fault.icmpChecksum
  return quoteAcceptable6(b, at + Offset.quote, end) ? 0 : Fault.icmpQuote
}

// These are not the checks of ipv4.ts and ipv6.ts: a router cuts what it quotes, and may have changed the header
// checksum.
const quoteAcceptable4 = (b: Uint8Array, at: number, end: number): boolean => {
  if (end - at < ipv4.minimumHeaderLength || ipv4.version(b, at) !== 4) return false
  const length = ipv4.headerLength(b, at)
  if (length < ipv4.minimumHeaderLength || end - at < length + quotedSegment) return false
  // Only the first fragment has ports.
  return ipv4.protocol(b, at) === Protocol.tcp && (ipv4.fragment(b, at) & 0x1fff) === 0
}

// The stack sends no extension headers, so a quote that has some is of somebody else's packet.
const quoteAcceptable6 = (b: Uint8Array, at: number, end: number): boolean =>
  end - at >= ipv6.headerLength + quotedSegment && ipv6.version(b, at) === 6 && ipv6.nextHeader(b, at) === Protocol.tcp

/** The MTU of the next hop as the router reports it, unchecked. Routers older than RFC 1191 report 0. */
export const mtu = (b: Uint8Array, at: number): number =>
  b[at] === unreachable ? u16(b, at + Offset.mtu4) : u32(b, at + Offset.mtu6)

/**
 * Byte offset of the quoted IP header, to be read with `ipv4.source`, `ipv6.word` … Its source sent the packet that was
 * too big.
 */
export const quote = (at: number): number => at + Offset.quote

/** Byte offset of the quoted TCP header. Only its first 8 bytes are sure to be there. */
export const quotedTcp = (b: Uint8Array, at: number): number => {
  const ip = at + Offset.quote
  return ip + (ipv4.version(b, ip) === 4 ? ipv4.headerLength(b, ip) : ipv6.headerLength)
}

/** Whether the quote is long enough for `quotedAck`. */
export const quotesAck = (b: Uint8Array, at: number, end: number): boolean => end - quotedTcp(b, at) >= 12
export const quotedAck = (b: Uint8Array, at: number): number => tcp.ack(b, quotedTcp(b, at))

export const quotedSourcePort = (b: Uint8Array, at: number): number => tcp.sourcePort(b, quotedTcp(b, at))
export const quotedDestinationPort = (b: Uint8Array, at: number): number => tcp.destinationPort(b, quotedTcp(b, at))
/** Sequence number of the quoted segment, unsigned. */
export const quotedSeq = (b: Uint8Array, at: number): number => tcp.seq(b, quotedTcp(b, at))
