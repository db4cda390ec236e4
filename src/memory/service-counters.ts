import { invalid } from '../errors.js'
import type { CounterRow } from './counter-table.js'
import { type CounterPage, counterNames, readRows, serviceCounterRoom } from './counters.js'

/** The counters of services, by name. */
export interface ServiceReading {
  readonly traffic: Readonly<Record<string, number>>
  readonly drops: Readonly<Record<string, number>>
}

/** Index in a page of each counter of a service, by name. */
export type ServiceWords = ReadonlyMap<string, number>

/**
 * The counters that the services of a stack have declared. Each has one word in every page, behind the stack's own
 * counters. It keeps that word as long as the stack is open, so a worker that replaces a dead one counts on.
 */
export class ServiceCounters {
  /** The n-th row has the n-th of the words for services. */
  readonly #rows: CounterRow[] = []

  /**
   * Gives each of these counters a word. Services that declare the same counter share its word. Throws INVALID_ARGUMENT
   * when one cannot be declared, and then declares none.
   */
  declare(rows: readonly CounterRow[]): ServiceWords {
    const added: CounterRow[] = []
    const words = new Map<string, number>()
    for (const row of rows) {
      this.#check(row, words)
      let at = [...this.#rows, ...added].findIndex(({ name }) => name === row.name)
      if (at < 0) at = this.#rows.length + added.push(row) - 1
      words.set(row.name, counterNames.length + at)
    }
    const all = this.#rows.length + added.length
    if (all > serviceCounterRoom) {
      throw invalid(
        `The services of a stack may have ${serviceCounterRoom} counters together: with the ${added.length} new ones of this service they would have ${all}.`,
      )
    }
    this.#rows.push(...added)
    return words
  }

  /** Adds up the counters of services of these pages. */
  read(pages: readonly CounterPage[]): ServiceReading {
    return readRows(this.#rows, pages, counterNames.length)
  }

  #check({ name, kind }: CounterRow, words: ServiceWords): void {
    const named = JSON.stringify(name)
    if (typeof name !== 'string' || !/^[a-z][A-Za-z0-9]*$/u.test(name)) {
      throw invalid(`The name of a counter is letters and digits, like requestsRefused, not ${named}.`)
    }
    if (kind !== 'traffic' && kind !== 'drop') {
      throw invalid(`The kind of a counter is 'traffic' or 'drop'; that of ${name} is ${JSON.stringify(kind)}.`)
    }
    if ((counterNames as readonly string[]).includes(name)) {
      throw invalid(`The stack itself counts ${name}: give the service's counter another name.`)
    }
    if (words.has(name)) throw invalid(`The service declares its counter ${name} twice.`)
    const known = this.#rows.find(row => row.name === name)
    if (known !== undefined && known.kind !== kind) {
      throw invalid(`Another service of this stack has a counter ${name} of the kind '${known.kind}'.`)
    }
  }
}
