/**
 * The datagrams of every load tool here, in TypeScript, C (`load.h`), Rust and Go (`peers/`).
 *
 * | bytes | what |
 * |---|---|
 * | 0–1 | flow number, big-endian |
 * | 2–3 | tag: flow and sequence number mixed, so that eight bytes from somewhere else are noticed |
 * | 4–7 | sequence number within the flow, from 0; `WARMUP` marks a datagram that opens the connection and is not counted |
 * | 8–  | the pattern of slot `sequence % SLOTS`: byte i is `7 i + 13 slot + ⌊i / 256⌋` modulo 256 |
 *
 * The pattern depends on the slot only. A sender fills `SLOTS` datagrams once, and writes headers from then on.
 */
export const HEADER = 8
export const SLOTS = 256
export const WARMUP = 0xffffffff
/** UDP over IPv4: 65,535 − 20 − 8. */
export const MAX_DATAGRAM = 65_507
/** A flow number has 16 bits. More sockets than this need a higher limit of descriptors. */
export const MAX_FLOWS = 16_384

const tagOf = (flow: number, sequence: number): number => (sequence ^ (sequence >>> 16) ^ flow ^ 0x9e37) & 0xffff

/** Writes the header of a datagram that starts at byte `at`. */
export const stamp = (view: DataView, at: number, flow: number, sequence: number): void => {
  view.setUint16(at, flow)
  view.setUint16(at + 2, tagOf(flow, sequence))
  view.setUint32(at + 4, sequence)
}

/** Sequence number of the datagram at byte `at`, or -1 when its header is not one of ours. */
export const sequenceAt = (view: DataView, at: number): number => {
  const sequence = view.getUint32(at + 4)
  const flow = view.getUint16(at)
  return flow < MAX_FLOWS && view.getUint16(at + 2) === tagOf(flow, sequence) ? sequence : -1
}

/** Fills `SLOTS` datagrams of `size` bytes, back to back, with their patterns. Headers stay zero. */
export const fillSlots = (bytes: Uint8Array, size: number): void => {
  for (let slot = 0; slot < SLOTS; slot++) {
    const start = slot * size
    for (let i = HEADER; i < size; i++) bytes[start + i] = i * 7 + slot * 13 + (i >> 8)
  }
}
