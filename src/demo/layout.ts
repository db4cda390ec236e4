import { headerLength } from './protocol.js'

/** Sizes on the way, in bytes of UDP payload: the demo's header and a piece of the file. */
export const smallest = 64
export const largest = 1_400

/** Runs of equal datagrams, as a transfer or a call makes them … */
const run = (size: number, count: number): number[] => Array.from({ length: count }, () => size)
/**
 * … and what comes in between: every size from `smallest` to `largest` has its turn (173 and 1,337 have no common
 * divisor).
 */
const mixed = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => smallest + (((from + i) * 173) % (largest - smallest + 1)))

/** Sizes of the datagrams, over and over. */
const sizes: readonly number[] = [
  ...run(largest, 96),
  ...mixed(0, 12),
  ...run(1_200, 48),
  ...mixed(12, 12),
  ...run(512, 24),
  ...mixed(24, 8),
]

/** Bytes of the file before each datagram of the pattern, and after the last one. */
const before = [0]
for (const size of sizes) before.push(before[before.length - 1] + size - headerLength)
const patternBytes = before[sizes.length]

/** How a file is cut into numbered datagrams; the same at both ends. */
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

  /** Where the piece of datagram `sequence` starts in the file; `fileBytes` for `count`. */
  offset(sequence: number): number {
    const turn = Math.floor(sequence / sizes.length)
    return Math.min(this.fileBytes, turn * patternBytes + before[sequence % sizes.length])
  }

  /** Bytes of that piece, at least 1. */
  length(sequence: number): number {
    return this.offset(sequence + 1) - this.offset(sequence)
  }
}
