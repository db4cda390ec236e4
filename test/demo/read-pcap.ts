/** A packet of a capture: what was kept of it, and how long it was. */
export interface CapturedPacket {
  readonly timeMs: number
  readonly bytes: Buffer
  readonly length: number
}

export interface Capture {
  readonly snapLength: number
  readonly linkType: number
  readonly packets: readonly CapturedPacket[]
}

/** Reads a little-endian classic pcap file. Throws when it is anything else, or cut. */
export const readPcap = (file: Buffer): Capture => {
  if (file.readUInt32LE(0) !== 0xa1b2c3d4) throw new Error('not a pcap file')
  if (file.readUInt16LE(4) !== 2 || file.readUInt16LE(6) !== 4) throw new Error('not version 2.4')
  const packets: CapturedPacket[] = []
  for (let at = 24; at < file.length; ) {
    const kept = file.readUInt32LE(at + 8)
    if (at + 16 + kept > file.length) throw new Error('cut in the middle of a packet')
    packets.push({
      timeMs: file.readUInt32LE(at) * 1_000 + file.readUInt32LE(at + 4) / 1_000,
      bytes: file.subarray(at + 16, at + 16 + kept),
      length: file.readUInt32LE(at + 12),
    })
    at += 16 + kept
  }
  return { snapLength: file.readUInt32LE(16), linkType: file.readUInt32LE(20), packets }
}
