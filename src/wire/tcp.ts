/** The TCP header (RFC 9293 §3.1), as a stock peer sends it (docs/protocol.md). */
import { setU16, setU32, u16, u32 } from './bytes.js'
import { sum } from './checksum.js'
import { Fault } from './fault.js'

/** Byte offsets from the first byte of the header. */
export const Offset = {
  sourcePort: 0,
  destinationPort: 2,
  seq: 4,
  ack: 8,
  dataOffset: 12,
  flags: 13,
  window: 14,
  checksum: 16,
  urgent: 18,
  options: 20,
} as const

export const Flag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const

/** Bytes of the header that carries data, ACK or RST. */
export const headerLength = 20
/** Bytes of the header of SYN and SYN+ACK, with its window scale option. */
export const synHeaderLength = 24

/** The only window that stock peers advertise. With scale 14 it never closes. */
const windowSize = 65_535
/** NOP and window scale (kind 3, length 3) with shift 14, the largest that RFC 7323 §2.3 allows. */
const synOptions = 0x0103030e

/** Whether a real TCP may send these flags. PSH, URG and the ECN bits do not matter. */
const flagsAcceptable = (flags: number): boolean => {
  const control = flags & (Flag.fin | Flag.syn | Flag.rst | Flag.ack)
  // The common case first: ACK, with or without FIN.
  if (control === Flag.ack || control === (Flag.ack | Flag.fin)) return true
  // SYN or RST, with or without ACK, but not both and not with FIN. Without any of them a segment means nothing (port
  // scans send such).
  const kind = control & ~Flag.ack
  return kind === Flag.syn || kind === Flag.rst
}

/** Whether the options between `from` and `to` have no length of 0 or 1, and do not reach past the end. */
const optionsWellFormed = (b: Uint8Array, from: number, to: number): boolean => {
  let i = from
  while (i < to) {
    const kind = b[i]
    if (kind === 0) return true
    if (kind === 1) {
      i += 1
      continue
    }
    if (i + 2 > to) return false
    const length = b[i + 1]
    if (length < 2 || i + length > to) return false
    i += length
  }
  return true
}

/**
 * Header length in bytes (20 … 60), or a Fault. Call before any accessor. `end`: where the IP packet ends. The checksum
 * is left to the caller, since the kernel may vouch for it. The urgent pointer is ignored, and payload on SYN, RST or
 * FIN is not a fault.
 */
export const check = (b: Uint8Array, at: number, end: number): number => {
  const available = end - at
  if (available < headerLength) return Fault.tcpTooShort
  const length = (b[at + Offset.dataOffset] >>> 4) << 2
  if (length < headerLength || length > available) return Fault.tcpDataOffset
  if (u16(b, at + Offset.sourcePort) === 0 || u16(b, at + Offset.destinationPort) === 0) return Fault.tcpPort
  if (!flagsAcceptable(b[at + Offset.flags])) return Fault.tcpFlags
  if (length > headerLength && !optionsWellFormed(b, at + Offset.options, at + length)) return Fault.tcpOptions
  return length
}

/**
 * Whether the checksum of the segment `at` … `end` holds. `pseudo`: the sum of `pseudo4` or `pseudo6` for `end - at`
 * bytes. It completes the module, and tests use it. The inbound path has the addon sum instead.
 */
export const checksumValid = (b: Uint8Array, at: number, end: number, pseudo: number): boolean =>
  sum(b, at, end - at, pseudo) === 0xffff

// Accessors for the whole header. Only tests read some of them.
export const sourcePort = (b: Uint8Array, at: number): number => u16(b, at + Offset.sourcePort)
export const destinationPort = (b: Uint8Array, at: number): number => u16(b, at + Offset.destinationPort)
/** Sequence number of the first payload byte (of the SYN, in a SYN), unsigned. */
export const seq = (b: Uint8Array, at: number): number => u32(b, at + Offset.seq)
/** Next sequence number the sender expects, unsigned. */
export const ack = (b: Uint8Array, at: number): number => u32(b, at + Offset.ack)
/** Bytes of this header with its options. */
export const dataOffset = (b: Uint8Array, at: number): number => (b[at + Offset.dataOffset] >>> 4) << 2
/** Bit set of `Flag`. */
export const flags = (b: Uint8Array, at: number): number => b[at + Offset.flags]
/** The window as it stands in the header, unscaled. */
export const window = (b: Uint8Array, at: number): number => u16(b, at + Offset.window)
export const checksum = (b: Uint8Array, at: number): number => u16(b, at + Offset.checksum)
export const urgent = (b: Uint8Array, at: number): number => u16(b, at + Offset.urgent)

/** What `emit` writes. Numbers may be signed or not. */
export interface Header {
  readonly sourcePort: number
  readonly destinationPort: number
  readonly seq: number
  readonly ack: number
  /** Bit set of `Flag`. */
  readonly flags: number
}

/**
 * Writes the header, with window 65535 and urgent pointer 0. Returns its length in bytes: 24 with SYN (options `01 03
 * 03 0e`), else 20. The checksum field is 0, so that the caller can sum the segment and then call `setChecksum`.
 */
export const emit = (b: Uint8Array, at: number, { sourcePort, destinationPort, seq, ack, flags }: Header): number => {
  setU16(b, at + Offset.sourcePort, sourcePort)
  setU16(b, at + Offset.destinationPort, destinationPort)
  setU32(b, at + Offset.seq, seq)
  setU32(b, at + Offset.ack, ack)
  b[at + Offset.flags] = flags
  setU16(b, at + Offset.window, windowSize)
  // The checksum and the urgent pointer.
  setU32(b, at + Offset.checksum, 0)
  if ((flags & Flag.syn) === 0) {
    b[at + Offset.dataOffset] = (headerLength >>> 2) << 4
    return headerLength
  }
  b[at + Offset.dataOffset] = (synHeaderLength >>> 2) << 4
  setU32(b, at + Offset.options, synOptions)
  return synHeaderLength
}

/**
 * Writes the checksum field: the checksum, or the folded sum of the pseudo-header when the kernel is to complete it
 * (NEEDS_CSUM).
 */
export const setChecksum = (b: Uint8Array, at: number, value: number): void => setU16(b, at + Offset.checksum, value)
