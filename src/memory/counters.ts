import { type DropCounter, stackCounters, type TrafficCounter } from './counter-table.js'

/**
 * One page of 64-bit counters per thread, in shared memory. The thread adds with plain stores, anyone may read. Values
 * are exact up to 2^53. Every way in which a packet can vanish has a name in `counter-table.ts`. Behind the stack's own
 * counters a page has room for those of services.
 */
export type CounterPage = Float64Array

/** Counters that all services of a stack may have together. */
export const serviceCounterRoom = 64

export const counterNames: readonly (TrafficCounter | DropCounter)[] = stackCounters.map(({ name }) => name)

/**
 * Index of each counter in a page. (`fromEntries` makes an object whose fields V8 reads as constants; one that is
 * filled by key is a dictionary.)
 */
export const Counter = Object.fromEntries(counterNames.map((name, i) => [name, i])) as Readonly<
  Record<TrafficCounter | DropCounter, number>
>

/** Words of a page. */
export const counterPageLength = counterNames.length + serviceCounterRoom
export const counterPageBytes = counterPageLength * 8

/** Index in a page of a (negative) parse fault's counter. */
export const faultCounter = (fault: number): number => ~fault

export interface CounterReading {
  readonly traffic: Readonly<Record<TrafficCounter, number>>
  /** One number per reason a packet can vanish; parse faults included. */
  readonly drops: Readonly<Record<DropCounter, number>>
}

/** The sum of word `at` of these pages. */
export const sumOf = (pages: readonly CounterPage[], at: number): number =>
  pages.reduce((sum, page) => sum + page[at], 0)

/** The sums of pages, by name. */
export const readCounters = (pages: readonly CounterPage[]): CounterReading => {
  const reading = { traffic: {} as Record<string, number>, drops: {} as Record<string, number> }
  for (const [at, { name, kind }] of stackCounters.entries()) {
    reading[kind === 'traffic' ? 'traffic' : 'drops'][name] = sumOf(pages, at)
  }
  return reading as CounterReading
}
