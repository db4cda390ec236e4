import { MAX_FLOWS, sequenceAt } from '../load/datagram.js'

/** Places in the array in which one thread counts. Times are milliseconds of `Date.now()`'s clock, with fractions. */
const Figure = { datagrams: 0, bytes: 1, reordered: 2, corrupted: 3, flows: 4, first: 5, last: 6, length: 8 } as const

/** Bytes of shared memory for the counts of `threads` threads. */
export const countBytes = (threads: number): number => threads * Figure.length * 8

const now = (): number => performance.timeOrigin + performance.now()

/**
 * Checks the header of every datagram as our library delivers it, and counts in memory that another thread can read.
 */
export class Count {
  readonly #figures: Float64Array
  readonly #next = new Float64Array(MAX_FLOWS)
  #buffer: ArrayBufferLike | undefined
  #view: DataView = new DataView(new ArrayBuffer(0))

  /** The counts of thread `index` in memory of `countBytes`. */
  constructor(memory: SharedArrayBuffer, index: number) {
    this.#figures = new Float64Array(memory, index * Figure.length * 8, Figure.length)
  }

  /** Counts `length` bytes at `at` as datagrams of `size` bytes. The last one may be shorter. */
  add(bytes: Uint8Array, at: number, length: number, size: number): void {
    if (bytes.buffer !== this.#buffer) {
      this.#buffer = bytes.buffer
      this.#view = new DataView(bytes.buffer)
    }
    const figures = this.#figures
    const next = this.#next
    const view = this.#view
    const start = bytes.byteOffset + at
    const end = start + length
    let count = 0
    for (let from = start; from < end; from += size) {
      count++
      const sequence = end - from < 8 ? -1 : sequenceAt(view, from)
      if (sequence < 0) {
        figures[Figure.corrupted]++
        continue
      }
      const flow = view.getUint16(from)
      const expected = next[flow]
      if (expected === 0) figures[Figure.flows]++
      if (sequence < expected) figures[Figure.reordered]++
      else next[flow] = sequence + 1
    }
    figures[Figure.datagrams] += count
    figures[Figure.bytes] += length
    figures[Figure.last] = now()
    if (figures[Figure.first] === 0) figures[Figure.first] = figures[Figure.last]
  }
}

/** Peak resident memory of this process in MB. */
export const memoryMB = (): number => process.resourceUsage().maxRSS / 1000

/** The sum of what all threads counted: `Arrived` of bench/scenario.ts. */
export const arrived = (memory: SharedArrayBuffer): object => {
  const all = new Float64Array(memory)
  const column = (figure: number): number[] =>
    Array.from({ length: all.length / Figure.length }, (_, thread) => all[thread * Figure.length + figure])
  const sum = (figure: number): number => column(figure).reduce((total, value) => total + value, 0)
  const times = column(Figure.first).filter(time => time > 0)
  return {
    datagrams: sum(Figure.datagrams),
    bytes: sum(Figure.bytes),
    seconds: times.length > 0 ? (Math.max(...column(Figure.last)) - Math.min(...times)) / 1000 : 0,
    reordered: sum(Figure.reordered),
    corrupted: sum(Figure.corrupted),
    flows: sum(Figure.flows),
    memoryMB: memoryMB(),
  }
}
