/** The IPv6 header and its extension headers (RFC 8200). */
import { setU16, setU32, u16, u32 } from './bytes.js'
import { Fault } from './fault.js'
import { Protocol } from './ip.js'

/** Byte offsets from the first byte of the fixed header. */
export const Offset = {
  versionClassFlow: 0,
  payloadLength: 4,
  nextHeader: 6,
  hopLimit: 7,
  source: 8,
  destination: 24,
} as const

/** Bytes of the fixed header. `emit` writes no other. */
export const headerLength = 40

const Extension = { hopByHop: 0, routing: 43, fragment: 44, authentication: 51, destinationOptions: 60 } as const
/** No real sender chains more of them. The limit bounds the work that one packet can cause. */
const maxExtensions = 8

/**
 * RFC 8200 §4.2: an unknown option whose two top bits are not 00 demands that the packet be discarded. Only padding is
 * known here.
 */
const optionsAcceptable = (b: Uint8Array, from: number, to: number): boolean => {
  let i = from
  while (i < to) {
    const type = b[i]
    if (type === 0) {
      // Pad1: the only option without a length.
      i += 1
      continue
    }
    if (type >>> 6 !== 0 || i + 2 > to) return false
    i += 2 + b[i + 1]
  }
  return i === to
}

/** Length in bytes of the extension header of kind `next` at `at`, or a Fault. */
const extension = (b: Uint8Array, at: number, end: number, next: number): number => {
  if (end - at < 8) return Fault.ipv6ExtensionHeader
  const length = (b[at + 1] + 1) << 3
  if (length > end - at) return Fault.ipv6ExtensionHeader
  if (next === Extension.routing) {
    // Type 0 is forbidden (RFC 5095). With segments left the stack is not the final destination, and it forwards
    // nothing.
    return b[at + 2] === 0 || b[at + 3] !== 0 ? Fault.ipv6ExtensionHeader : length
  }
  return optionsAcceptable(b, at + 2, at + length) ? length : Fault.ipv6ExtensionHeader
}

/**
 * Bytes from `at` to the TCP header (40 without extension headers), or a Fault. Call before any accessor. The packet
 * ends at `at + 40 + payloadLength`, not at `end`. The protocol is checked last: with `Fault.ipv6Protocol` all other
 * rules hold. The source address is left to `usableSource`.
 */
export const check = (b: Uint8Array, at: number, end: number, protocolNumber: number = Protocol.tcp): number => {
  const available = end - at
  if (available < headerLength) return Fault.frameTooShort
  if (b[at] >>> 4 !== 6) return Fault.ipVersion
  const payload = u16(b, at + Offset.payloadLength)
  if (payload === 0 || payload > available - headerLength) return Fault.ipv6PayloadLength
  const next = b[at + Offset.nextHeader]
  return next === protocolNumber ? headerLength : walk(b, at, at + headerLength + payload, next, protocolNumber)
}

const walk = (b: Uint8Array, at: number, end: number, first: number, protocolNumber: number): number => {
  let next = first
  let offset = headerLength
  for (let count = 0; ; count++) {
    if (next === protocolNumber) return offset
    if (next === Extension.fragment) return Fault.ipv6Fragment
    // RFC 4302 demands that the receiver verify a keyed digest, for which there is no key.
    if (next === Extension.authentication) return Fault.ipv6ExtensionHeader
    if (next !== Extension.hopByHop && next !== Extension.routing && next !== Extension.destinationOptions) {
      return Fault.ipv6Protocol
    }
    // RFC 8200 §4.1: hop-by-hop options only directly after the fixed header.
    if (count === maxExtensions || (next === Extension.hopByHop && count > 0)) return Fault.ipv6ExtensionHeader
    const length = extension(b, at + offset, end, next)
    if (length < 0) return length
    next = b[at + offset]
    offset += length
  }
}

// Accessors for the whole header. Only tests read some of them.
export const version = (b: Uint8Array, at: number): number => b[at] >>> 4
export const flowLabel = (b: Uint8Array, at: number): number => u32(b, at) & 0xfffff
/** Bytes after the 40-byte fixed header, extension headers included. */
export const payloadLength = (b: Uint8Array, at: number): number => u16(b, at + Offset.payloadLength)
/** What follows the fixed header: TCP (6), or a kind of extension header. */
export const nextHeader = (b: Uint8Array, at: number): number => b[at + Offset.nextHeader]
export const hopLimit = (b: Uint8Array, at: number): number => b[at + Offset.hopLimit]
/**
 * 32-bit word `i` of the two addresses, unsigned: 0 … 3 are the source, 4 … 7 the destination. `at`: the header's
 * offset.
 */
export const word = (b: Uint8Array, at: number, i: number): number => u32(b, at + Offset.source + (i << 2))

/**
 * Whether a packet may come from its source address. `at`: the header's offset. It may not come from multicast, ::, ::1
 * (RFC 4291 §2.5, §2.7), nor from ::ffff:0:0/96. The kernel (ip6_rcv) drops these mapped addresses too: they stand for
 * IPv4 hosts, and do not belong on a wire.
 */
export const usableSource = (b: Uint8Array, at: number): boolean => {
  if (b[at + Offset.source] === 0xff) return false
  if ((word(b, at, 0) | word(b, at, 1)) !== 0) return true
  const third = word(b, at, 2)
  return third !== 0xffff && (third !== 0 || word(b, at, 3) > 1)
}

/** What `emit` writes. Addresses are four words each, most significant first, signed or not. */
export interface Header {
  /** Bytes after this header, ≤ 65,535. */
  readonly payloadLength: number
  readonly source: ArrayLike<number>
  readonly destination: ArrayLike<number>
}

/** Writes the 40-byte header (hop limit 64, class and flow label 0, next header TCP) and returns 40. */
export const emit = (b: Uint8Array, at: number, { payloadLength, source, destination }: Header): number => {
  setU32(b, at, 0x60000000)
  setU16(b, at + Offset.payloadLength, payloadLength)
  b[at + Offset.nextHeader] = Protocol.tcp
  b[at + Offset.hopLimit] = 64
  for (let i = 0; i < 4; i++) {
    setU32(b, at + Offset.source + (i << 2), source[i])
    setU32(b, at + Offset.destination + (i << 2), destination[i])
  }
  return headerLength
}
