import type { Piscina } from 'piscina'

/** What piscina's own object of a worker has for this; not part of what piscina documents. */
interface Hold {
  ref(): void
  unref(): void
}

/**
 * Lets go of the event loop, or holds it again, while tasks run: piscina holds it for each of them, ours run as long as
 * their stack is open, and it has no option for that. (Read in piscina 5.3; without what is looked for here nothing
 * happens.)
 */
export class PiscinaHold {
  readonly #holds = new Set<Hold>()
  #held = true

  constructor(pool: Piscina) {
    pool.on('workerCreate', (worker: object) => {
      const hold = holdOf(worker)
      if (hold === undefined) return
      this.#holds.add(hold)
      // piscina holds the loop when it gives the worker its task, right after this event.
      setImmediate(() => this.#apply(hold))
    })
    pool.on('workerDestroy', (worker: object) => {
      const hold = holdOf(worker)
      if (hold !== undefined) this.#holds.delete(hold)
    })
  }

  set(held: boolean): void {
    this.#held = held
    for (const hold of this.#holds) this.#apply(hold)
  }

  #apply(hold: Hold): void {
    if (this.#held) hold.ref()
    else hold.unref()
  }
}

const holdOf = (worker: object): Hold | undefined => {
  const key = Object.getOwnPropertySymbols(worker).find(({ description }) => description === 'Piscina.kWorkerData')
  const found: unknown = key === undefined ? undefined : Reflect.get(worker, key)
  return found !== null && typeof found === 'object' && 'ref' in found && 'unref' in found ? (found as Hold) : undefined
}
