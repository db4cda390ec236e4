/** The IPv4 header (RFC 791). */
import { setU16, setU32, u16, u32 } from './bytes.js'
import { finish, sum } from './checksum.js'
import { Fault } from './fault.js'
import { Protocol } from './ip.js'

/** Byte offsets from the first byte of the header. */
export const Offset = {
  versionLength: 0,
  tos: 1,
  totalLength: 2,
  id: 4,
  fragment: 6,
  ttl: 8,
  protocol: 9,
  checksum: 10,
  source: 12,
  destination: 16,
} as const

/** Bytes of a header without options. `emit` writes no other. */
export const minimumHeaderLength = 20

const dontFragment = 0x4000
/** More Fragments and the 13-bit offset. The reserved bit 0x8000 is ignored, as the kernel ignores it. */
const fragmented = 0x3fff

/**
 * Header length in bytes (20 … 60), or a Fault. Call before any accessor. The packet ends at `at + totalLength`; what
 * lies between there and `end` is link-layer padding. The protocol is checked last: with `Fault.ipv4Protocol` all other
 * rules hold. The source address is left to `usableSource`.
 */
export const check = (b: Uint8Array, at: number, end: number, protocolNumber: number = Protocol.tcp): number => {
  const available = end - at
  if (available < minimumHeaderLength) return Fault.frameTooShort
  const first = b[at + Offset.versionLength]
  if (first >>> 4 !== 4) return Fault.ipVersion
  const length = (first & 0x0f) << 2
  if (length < minimumHeaderLength || length > available) return Fault.ipv4HeaderLength
  const total = u16(b, at + Offset.totalLength)
  if (total < length || total > available) return Fault.ipv4TotalLength
  // This holds for a super-packet too: GRO computes the header checksum again for the merged length.
  if (sum(b, at, length) !== 0xffff) return Fault.ipv4Checksum
  if ((u16(b, at + Offset.fragment) & fragmented) !== 0) return Fault.ipv4Fragment
  return b[at + Offset.protocol] === protocolNumber ? length : Fault.ipv4Protocol
}

// Accessors for the whole header. Only tests read some of them.
export const version = (b: Uint8Array, at: number): number => b[at + Offset.versionLength] >>> 4
/** Bytes of this header with its options. */
export const headerLength = (b: Uint8Array, at: number): number => (b[at + Offset.versionLength] & 0x0f) << 2
/** Bytes of header and payload. */
export const totalLength = (b: Uint8Array, at: number): number => u16(b, at + Offset.totalLength)
export const id = (b: Uint8Array, at: number): number => u16(b, at + Offset.id)
/** Flags (top 3 bits) and fragment offset (13 bits, in units of 8 bytes). */
export const fragment = (b: Uint8Array, at: number): number => u16(b, at + Offset.fragment)
export const ttl = (b: Uint8Array, at: number): number => b[at + Offset.ttl]
export const protocol = (b: Uint8Array, at: number): number => b[at + Offset.protocol]
export const checksum = (b: Uint8Array, at: number): number => u16(b, at + Offset.checksum)
/** Address as an unsigned number: 192.0.2.1 is 0xc0000201. */
export const source = (b: Uint8Array, at: number): number => u32(b, at + Offset.source)
/** Address as an unsigned number. */
export const destination = (b: Uint8Array, at: number): number => u32(b, at + Offset.destination)

/**
 * Whether a packet may come from this address (signed or unsigned word). It may not come from 0/8, 127/8, multicast or
 * broadcast: RFC 1122 §3.2.1.3 and the kernel (ip_route_input_slow) call these martians. The caller checks for the
 * stack's own address.
 */
export const usableSource = (word: number): boolean => {
  const top = word >>> 24
  return top !== 0 && top !== 127 && top >>> 4 !== 0xe && word >>> 0 !== 0xffffffff
}

/** What `emit` writes. Addresses are words, signed or not. */
export interface Header {
  /** Bytes of the whole packet, ≤ 65,535. */
  readonly totalLength: number
  readonly id: number
  readonly source: number
  readonly destination: number
}

/** Writes a 20-byte header with a valid checksum (DF, TTL 64, TOS 0: docs/protocol.md) and returns 20. */
export const emit = (b: Uint8Array, at: number, { totalLength, id, source, destination }: Header): number => {
  b[at + Offset.versionLength] = 0x45
  b[at + Offset.tos] = 0
  setU16(b, at + Offset.totalLength, totalLength)
  setU16(b, at + Offset.id, id)
  setU16(b, at + Offset.fragment, dontFragment)
  b[at + Offset.ttl] = 64
  b[at + Offset.protocol] = Protocol.tcp
  setU32(b, at + Offset.source, source)
  setU32(b, at + Offset.destination, destination)
  const words =
    0x4500 +
    (totalLength & 0xffff) +
    (id & 0xffff) +
    dontFragment +
    (64 << 8) +
    Protocol.tcp +
    (source >>> 16) +
    (source & 0xffff) +
    (destination >>> 16) +
    (destination & 0xffff)
  setU16(b, at + Offset.checksum, finish(words))
  return minimumHeaderLength
}
