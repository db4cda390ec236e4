import { headerLength } from './protocol.js'

/** Minimum and maximum UDP payload of a data datagram, in bytes: the demo's header and a piece of the file. */
export const smallest = 64
export const largest = 1_400

/** `count` datagrams of equal size, as a file transfer or a call sends them. */
const run = (size: number, count: number): number[] => Array.from({ length: count }, () => size)
/**
 * `count` datagrams of mixed sizes between `smallest` and `largest`. Steps of 173 modulo 1,337 spread the sizes without
 * repetition, since the two have no common divisor.
 */
const mixed = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => smallest + (((from + i) * 173) % (largest - smallest + 1)))

/** The pattern: sizes of consecutive datagrams. The layout of a file repeats it. */
const sizes: readonly number[] = [
  ...run(largest, 96),
  ...mixed(0, 12),
  ...run(1_200, 48),
  ...mixed(12, 12),
  ...run(512, 24),
  ...mixed(24, 8),
]

/** Bytes of the file before each datagram of the pattern, then those of the whole pattern. */
const before = [0]
for (const size of sizes) before.push(before[before.length - 1] + size - headerLength)
const patternBytes = before[sizes.length]

/** Cuts a file into numbered datagrams. Both ends compute the same layout from the file's size. */
export class Layout {
  readonly fileBytes: number
  /** Number of datagrams. */
  readonly count: number

  constructor(fileBytes: number) {
    this.fileBytes = fileBytes
    const rest = fileBytes % patternBytes
    const partial = rest === 0 ? 0 : before.findIndex(bytes => bytes >= rest)
    this.count = Math.floor(fileBytes / patternBytes) * sizes.length + partial
  }

  /** Offset in the file of the piece that datagram `sequence` carries. For `count` it is `fileBytes`. */
  offset(sequence: number): number {
    const turn = Math.floor(sequence / sizes.length)
    return Math.min(this.fileBytes, turn * patternBytes + before[sequence % sizes.length])
  }

  /** Length of that piece in bytes, at least 1. */
  length(sequence: number): number {
    return this.offset(sequence + 1) - this.offset(sequence)
  }
}
