import type { Piscina } from 'piscina'

/** The part of piscina's record of a worker that is needed here. piscina does not document it. */
interface Hold {
  ref(): void
  unref(): void
}

/**
 * Sets whether running tasks keep the event loop alive. piscina makes each of its tasks do so, and has no option
 * against it; but ours run as long as their stack is open. Written for piscina 5.3. If its record of a worker looks
 * different, nothing happens.
 */
export class PiscinaHold {
  readonly #holds = new Set<Hold>()
  #held = true

  constructor(pool: Piscina) {
    pool.on('workerCreate', (worker: object) => {
      const hold = holdOf(worker)
      if (hold === undefined) return
      this.#holds.add(hold)
      // piscina calls `ref` when it gives the worker its task, right after this event. So `#apply` comes after that.
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
