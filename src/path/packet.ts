import type { Memory } from '../native.js'

/** One packet as it was read. The reader fills the same record again for each packet. */
export class Packet {
  /** `bytes` as the addon knows it. */
  memory: Memory = 0
  bytes: Uint8Array = new Uint8Array(0)
  /** Byte offset of its virtio-net header; without one, of its IP header. */
  at = 0
  /** Bytes, the virtio-net header included. */
  length = 0
  /**
   * The ones' complement sum of all these bytes, which `readBatch` makes while they are in the processor's cache. -1:
   * it has not made one.
   */
  sum = -1
}
