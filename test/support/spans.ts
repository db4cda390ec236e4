import { Span } from '../../src/memory/span.js'
import type { Memory } from '../../src/native.js'

/** Datagrams of `segmentSize` that lie at `at` of an arena. */
export const spanAt = (memory: Memory, at: number, length: number, segmentSize = length): Span =>
  Object.assign(new Span(), { memory, at, length, segmentSize })
