import type { Piscina } from 'piscina'

/** The part of piscina's own object of a worker that is used here. piscina does not document it. */
interface Refable {
  ref(): void
  unref(): void
}

/**
 * `ref` and `unref` for the workers of a piscina pool. piscina refs a worker for as long as it has a task, and has no
 * option against it; our tasks run as long as their stack is open. (Read in piscina 5.3. If another version lacks the
 * object that is looked for here, nothing happens.)
 */
export class PoolRefs {
  readonly #workers = new Set<Refable>()
  #ref = true

  constructor(pool: Piscina) {
    pool.on('workerCreate', (created: object) => {
      const worker = refableOf(created)
      if (worker === undefined) return
      this.#workers.add(worker)
      // piscina refs the worker when it gives it its task, right after this event.
      setImmediate(() => this.#apply(worker))
    })
    pool.on('workerDestroy', (destroyed: object) => {
      const worker = refableOf(destroyed)
      if (worker !== undefined) this.#workers.delete(worker)
    })
  }

  /** Whether present and future workers keep the process alive while they have a task; they do at first. */
  setRef(ref: boolean): void {
    this.#ref = ref
    for (const worker of this.#workers) this.#apply(worker)
  }

  #apply(worker: Refable): void {
    if (this.#ref) worker.ref()
    else worker.unref()
  }
}

const refableOf = (worker: object): Refable | undefined => {
  const key = Object.getOwnPropertySymbols(worker).find(({ description }) => description === 'Piscina.kWorkerData')
  const found: unknown = key === undefined ? undefined : Reflect.get(worker, key)
  return found !== null && typeof found === 'object' && 'ref' in found && 'unref' in found
    ? (found as Refable)
    : undefined
}
