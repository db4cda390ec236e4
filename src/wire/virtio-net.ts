/**
 * `struct virtio_net_hdr`: the header in front of every packet of a TUN queue with IFF_VNET_HDR. It has 10 bytes, or 12
 * with num_buffers. Its byte order is the host's, little-endian on every platform that this project supports.
 */
import { Fault } from './fault.js'

/** Byte offsets (linux/virtio_net.h). */
export const Offset = {
  flags: 0,
  gsoType: 1,
  hdrLen: 2,
  gsoSize: 4,
  csumStart: 6,
  csumOffset: 8,
  numBuffers: 10,
} as const

export const Flag = {
  /** The L4 checksum field holds only the sum of the pseudo-header. The sender on the wire has to complete it. */
  needsCsum: 1,
  /** The kernel, or the network card, has verified the checksum. */
  dataValid: 2,
} as const

export const Gso = { none: 0, tcp4: 1, udp: 3, tcp6: 4, udpL4: 5, ecn: 0x80 } as const

const u16le = (b: Uint8Array, at: number): number => b[at] | (b[at + 1] << 8)
const setU16le = (b: Uint8Array, at: number, value: number): void => {
  b[at] = value
  b[at + 1] = value >>> 8
}

/**
 * `size`, which is the number of bytes before the IP header, or a Fault. `size`: 10 or 12, as TUNSETVNETHDRSZ has set
 * it. hdr_len does not count: it is an estimate of the kernel, and the headers themselves decide.
 */
export const check = (b: Uint8Array, at: number, end: number, size: number): number => {
  if (end - at < size) return Fault.frameTooShort
  const type = b[at + Offset.gsoType]
  if (type === Gso.none) return size
  // ECN modifies another type. Alone it is unknown, as it is to the kernel (virtio_net_hdr_to_skb).
  const base = type & ~Gso.ecn
  if (base !== Gso.tcp4 && base !== Gso.tcp6 && base !== Gso.udp && base !== Gso.udpL4) return Fault.virtioGso
  return gsoSize(b, at) === 0 ? Fault.virtioGso : size
}

// Accessors for the whole header. Only tests read some of them.
/** Bit set of `Flag`. */
export const flags = (b: Uint8Array, at: number): number => b[at + Offset.flags]
/** One of `Gso`, without the ECN modifier. */
export const gsoType = (b: Uint8Array, at: number): number => b[at + Offset.gsoType] & ~Gso.ecn
/** Bytes of headers, as the kernel estimates them. */
export const hdrLen = (b: Uint8Array, at: number): number => u16le(b, at + Offset.hdrLen)
/** Payload bytes of every segment but the last. It means nothing when `gsoType` is `Gso.none`. */
export const gsoSize = (b: Uint8Array, at: number): number => u16le(b, at + Offset.gsoSize)
/** Bytes from the IP header to where checksumming starts. */
export const csumStart = (b: Uint8Array, at: number): number => u16le(b, at + Offset.csumStart)
/** Bytes from `csumStart` to the checksum field. */
export const csumOffset = (b: Uint8Array, at: number): number => u16le(b, at + Offset.csumOffset)
/** Only a 12-byte header has it. On a TUN it is 0 or 1. */
export const numBuffers = (b: Uint8Array, at: number): number => u16le(b, at + Offset.numBuffers)

/** Whether the kernel vouches for the L4 checksum: it has verified it, or the packet was never on a wire. */
export const checksumTrusted = (b: Uint8Array, at: number): boolean =>
  (b[at + Offset.flags] & (Flag.needsCsum | Flag.dataValid)) !== 0

/** What `emit` writes; as the accessors above. */
export interface Header {
  readonly flags: number
  readonly gsoType: number
  readonly hdrLen: number
  readonly gsoSize: number
  readonly csumStart: number
  readonly csumOffset: number
}

/** Writes the header, `size` bytes, and returns `size`. */
export const emit = (b: Uint8Array, at: number, size: number, header: Header): number => {
  b[at + Offset.flags] = header.flags
  b[at + Offset.gsoType] = header.gsoType
  setU16le(b, at + Offset.hdrLen, header.hdrLen)
  setU16le(b, at + Offset.gsoSize, header.gsoSize)
  setU16le(b, at + Offset.csumStart, header.csumStart)
  setU16le(b, at + Offset.csumOffset, header.csumOffset)
  for (let i = Offset.numBuffers; i < size; i++) b[at + i] = 0
  return size
}
