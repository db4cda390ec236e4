/**
 * The demo's own datagrams, inside UDP. Numbers are big-endian.
 *
 * | bytes | what |
 * |---|---|
 * | 0–1 | `magic` |
 * | 2 | kind |
 * | 3 | zero |
 * | 4–7 | number: see `Kind` |
 * | 8– | by kind |
 *
 * Sender and receiver share `layout.ts`, so a data datagram names its place in the file by its number alone.
 */
import { setU16, setU32, u16, u32 } from '../wire/bytes.js'

export const magic = 0xfd7c
export const headerLength = 8
export const helloLength = 16

export const Kind = {
  /** Sender: number of a question; 8 … 15: size of the file. Answered by a report. */
  hello: 1,
  /** Sender: sequence number; 8 …: the piece of the file. */
  data: 2,
  /** Sender: number of a question, asked behind the data it is about. Answered by a report. */
  probe: 3,
  /** Receiver: see `Report`; number: the latest question. */
  report: 4,
  /** Sender: number of the ping. */
  ping: 5,
  /** Receiver: number of the ping. */
  pong: 6,
} as const

/** Bytes of each kind, at least. */
const shortest: readonly number[] = [0, helloLength, headerLength + 1, headerLength, 16, headerLength, headerLength]

export const putHeader = (b: Uint8Array, at: number, kind: number, number: number): void => {
  setU16(b, at, magic)
  setU16(b, at + 2, kind << 8)
  setU32(b, at + 4, number)
}

/** Kind of the datagram of `length` bytes at `at`, or 0 when it isn't one of ours. Call before any other reader. */
export const kindAt = (b: Uint8Array, at: number, length: number): number => {
  if (length < headerLength || u16(b, at) !== magic || b[at + 3] !== 0) return 0
  const kind = b[at + 2]
  return kind > 0 && kind < shortest.length && length >= shortest[kind] ? kind : 0
}

export const numberAt = (b: Uint8Array, at: number): number => u32(b, at + 4)

/** Writes a hello of `helloLength` bytes. */
export const putHello = (b: Uint8Array, at: number, question: number, fileBytes: number): void => {
  putHeader(b, at, Kind.hello, question)
  setU32(b, at + 8, Math.floor(fileBytes / 2 ** 32))
  setU32(b, at + 12, fileBytes % 2 ** 32)
}

/** Size of the file that a hello announces. */
export const fileBytesAt = (b: Uint8Array, at: number): number => u32(b, at + 8) * 2 ** 32 + u32(b, at + 12)

/** Consecutive datagrams. */
export interface Range {
  readonly first: number
  readonly count: number
}

/** What the receiver has. */
export interface Report {
  /** The latest question that it answers; 0: none. */
  readonly question: number
  /** Highest sequence number so far, plus 1. */
  readonly next: number
  readonly received: number
  /** What has not come, the first `maxRanges` runs of it; only in answers to a question. */
  readonly missing: readonly Range[]
}

/** As many as fit a datagram of 1,400 bytes. */
export const maxRanges = 173
/** Bytes of a report that names so many ranges. */
export const reportLength = (ranges: number): number => 16 + ranges * 8

/** Writes a report of at most `maxRanges` ranges; its length in bytes. */
export const putReport = (b: Uint8Array, at: number, report: Report): number => {
  putHeader(b, at, Kind.report, report.question)
  setU32(b, at + 8, report.next)
  setU32(b, at + 12, report.received)
  for (const [i, { first, count }] of report.missing.entries()) {
    setU32(b, at + reportLength(i), first)
    setU32(b, at + reportLength(i) + 4, count)
  }
  return reportLength(report.missing.length)
}

export const reportAt = (b: Uint8Array, at: number, length: number): Report => {
  const missing: Range[] = []
  for (let range = at + reportLength(0); range + 8 <= at + length; range += 8) {
    missing.push({ first: u32(b, range), count: u32(b, range + 4) })
  }
  return { question: numberAt(b, at), next: u32(b, at + 8), received: u32(b, at + 12), missing }
}
