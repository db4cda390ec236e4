/**
 * Format of the demo's datagrams, the UDP payload. Numbers are big-endian.
 *
 * | bytes | what |
 * |---|---|
 * | 0–1 | `magic` |
 * | 2 | kind |
 * | 3 | zero |
 * | 4–7 | number: see `Kind` |
 * | 8– | by kind |
 *
 * Sender and receiver share `layout.ts`, so the number of a data datagram is enough to find its place in the file.
 */
import { setU16, setU32, u16, u32 } from '../wire/bytes.js'

export const magic = 0xfd7c
export const headerLength = 8
export const helloLength = 16

/** Kinds of datagrams: who sends them, and what their number and the bytes from 8 on are. */
export const Kind = {
  /** From the sender. Number: of the question. Bytes 8–15: size of the file. The receiver answers with a report. */
  hello: 1,
  /** From the sender. Number: sequence number. Bytes from 8 on: the piece of the file. */
  data: 2,
  /**
   * From the sender, after the data that it asks about. Number: of the question. The receiver answers with a report.
   */
  probe: 3,
  /** From the receiver. Number: of the latest question. Bytes from 8 on: see `putReport`. */
  report: 4,
  /** From the sender. Number: of the ping. */
  ping: 5,
  /** From the receiver. Number: of the ping that it answers. */
  pong: 6,
} as const

/** Minimum length of each kind, in bytes. */
const minLengths: readonly number[] = [0, helloLength, headerLength + 1, headerLength, 16, headerLength, headerLength]

export const putHeader = (b: Uint8Array, at: number, kind: number, number: number): void => {
  setU16(b, at, magic)
  setU16(b, at + 2, kind << 8)
  setU32(b, at + 4, number)
}

/** Kind of the datagram of `length` bytes at `at`, or 0 when it is not of the demo. Call before any other reader. */
export const kindAt = (b: Uint8Array, at: number, length: number): number => {
  if (length < headerLength || u16(b, at) !== magic || b[at + 3] !== 0) return 0
  const kind = b[at + 2]
  return kind > 0 && kind < minLengths.length && length >= minLengths[kind] ? kind : 0
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

/** Consecutive datagrams: `count` of them from sequence number `first` on. */
export interface Range {
  readonly first: number
  readonly count: number
}

/** What the receiver has received so far. */
export interface Report {
  /** Number of the sender's latest question; 0: none has come. */
  readonly question: number
  /** Highest sequence number so far, plus 1. */
  readonly next: number
  /** Number of datagrams that have arrived. */
  readonly received: number
  /** The first `maxRanges` ranges that have not arrived. Empty unless the report answers a question. */
  readonly missing: readonly Range[]
}

/** Maximum number of ranges in a report: as many as fit in a datagram of 1,400 bytes. */
export const maxRanges = 173
/** Length in bytes of a report with this many ranges. */
export const reportLength = (ranges: number): number => 16 + ranges * 8

/**
 * Writes a report of at most `maxRanges` ranges and returns its length in bytes. Behind the header: `next`, `received`,
 * then `first` and `count` of each range, 4 bytes each.
 */
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
