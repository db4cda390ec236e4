import { type CounterRow, type DropCounter, stackCounters, type TrafficCounter } from './counter-table.js'

/**
 * The counters of one thread, a page of float64 words in shared memory. Only that thread writes, with plain stores; any
 * thread may read. Values are exact up to 2^53. Every reason for which a packet is dropped has a name in
 * `counter-table.ts`. A page begins with the stack's own counters, and ends with room for those of services.
 */
export type CounterPage = Float64Array

/** The most counters that all services of a stack may have together. */
export const serviceCounterRoom = 64

export const counterNames: readonly (TrafficCounter | DropCounter)[] = stackCounters.map(({ name }) => name)

/**
 * Index of each counter in a page. (Made by `fromEntries`, since V8 reads the fields of such an object as constants. An
 * object that is filled key by key becomes a dictionary.)
 */
export const Counter = Object.fromEntries(counterNames.map((name, i) => [name, i])) as Readonly<
  Record<TrafficCounter | DropCounter, number>
>

/** Number of words in a page. */
export const counterPageLength = counterNames.length + serviceCounterRoom
export const counterPageBytes = counterPageLength * 8

/** Index in a page of the counter of a `Fault`, which is a negative number. */
export const faultCounter = (fault: number): number => ~fault

export interface CounterReading {
  readonly traffic: Readonly<Record<TrafficCounter, number>>
  /** One number for each reason to drop a packet, parse faults included. */
  readonly drops: Readonly<Record<DropCounter, number>>
}

/** The sum of word `at` of these pages. */
export const sumOf = (pages: readonly CounterPage[], at: number): number =>
  pages.reduce((sum, page) => sum + page[at], 0)

/** Adds up the counters of these pages whose rows are given; the first one's word is `from`. */
export const readRows = (rows: readonly CounterRow[], pages: readonly CounterPage[], from: number) => {
  const reading = { traffic: {} as Record<string, number>, drops: {} as Record<string, number> }
  for (const [i, { name, kind }] of rows.entries()) {
    reading[kind === 'traffic' ? 'traffic' : 'drops'][name] = sumOf(pages, from + i)
  }
  return reading
}

/** Adds up the stack's own counters of these pages. */
export const readCounters = (pages: readonly CounterPage[]): CounterReading =>
  readRows(stackCounters, pages, 0) as CounterReading
