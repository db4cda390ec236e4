import type { Memory } from '../native.js'

/** One packet as it was read. A record that its reader fills anew for each packet. */
export class Packet {
  /** `bytes` for the addon. */
  memory: Memory = 0
  bytes: Uint8Array = new Uint8Array(0)
  /** Where it begins in that memory, with its virtio-net header. */
  at = 0
  /** Bytes, with that header. */
  length = 0
  /** The ones' complement sum of all of them, where `readBatch` has made it while they were in the cache; else -1. */
  sum = -1
}
