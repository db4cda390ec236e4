/**
 * Writes the classic pcap file format (draft-ietf-opsawg-pcap): a file header, then a record per packet. Little-endian,
 * times in microseconds.
 */
import { closeSync, openSync, writeSync } from 'node:fs'

/** LINKTYPE_RAW: packets start with their IP header. */
const linkTypeRaw = 101
const magic = 0xa1b2c3d4
export const fileHeaderLength = 24
export const recordHeaderLength = 16
const bufferBytes = 256 * 1024

/** Writes a file header and returns its length in bytes. `snapLength`: maximum number of bytes kept of a packet. */
export const putFileHeader = (view: DataView, at: number, snapLength: number): number => {
  view.setUint32(at, magic, true)
  view.setUint16(at + 4, 2, true)
  view.setUint16(at + 6, 4, true)
  view.setUint32(at + 8, 0, true)
  view.setUint32(at + 12, 0, true)
  view.setUint32(at + 16, snapLength, true)
  view.setUint32(at + 20, linkTypeRaw, true)
  return fileHeaderLength
}

/**
 * Writes a record header and returns its length in bytes. `timeMs`: milliseconds since 1970. `kept`: bytes of the
 * packet that follow. `length`: bytes that the packet had.
 */
export const putRecordHeader = (view: DataView, at: number, timeMs: number, kept: number, length: number): number => {
  const micros = Math.round(timeMs * 1000)
  view.setUint32(at, Math.floor(micros / 1e6), true)
  view.setUint32(at + 4, micros % 1e6, true)
  view.setUint32(at + 8, kept, true)
  view.setUint32(at + 12, length, true)
  return recordHeaderLength
}

/** Writes a capture file. It gathers records and writes them in large pieces. */
export class PcapWriter {
  readonly #fd: number
  readonly #snapLength: number
  readonly #bytes = new Uint8Array(bufferBytes)
  readonly #view = new DataView(this.#bytes.buffer)
  #end: number
  packets = 0

  /** Throws what `openSync` throws. */
  constructor(path: string, snapLength: number) {
    this.#fd = openSync(path, 'w')
    this.#snapLength = snapLength
    this.#end = putFileHeader(this.#view, 0, snapLength)
  }

  /** Adds a packet of `length` bytes, of which the first `available` are at `at`. `timeMs`: milliseconds since 1970. */
  add(timeMs: number, bytes: Uint8Array, at: number, available: number, length: number): void {
    const kept = Math.min(available, length, this.#snapLength)
    if (this.#end + recordHeaderLength + kept > bufferBytes) this.flush()
    this.#end += putRecordHeader(this.#view, this.#end, timeMs, kept, length)
    this.#bytes.set(bytes.subarray(at, at + kept), this.#end)
    this.#end += kept
    this.packets++
  }

  flush(): void {
    for (let at = 0; at < this.#end; ) at += writeSync(this.#fd, this.#bytes, at, this.#end - at)
    this.#end = 0
  }

  close(): void {
    this.flush()
    closeSync(this.#fd)
  }
}
