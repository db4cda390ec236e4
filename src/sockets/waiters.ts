import { aborted } from '../errors.js'

/** Promises that wait for the next value of a queue. The oldest gets the first value. */
export class Waiters<T> {
  readonly #waiting: { resolve: (value: T) => void; reject: (error: Error) => void; stop: () => void }[] = []

  get size(): number {
    return this.#waiting.length
  }

  /** Resolves with a value. Rejects with ABORTED when `signal` aborts first. */
  wait(signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(aborted(signal))
        return
      }
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        reject(aborted(signal!))
      }
      const stop = () => signal?.removeEventListener('abort', onAbort)
      const waiter = { resolve, reject, stop }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.push(waiter)
    })
  }

  /** Gives a value to the oldest waiter. False when nobody waits. */
  resolveOne(value: T): boolean {
    const waiter = this.#waiting.shift()
    if (waiter === undefined) return false
    waiter.stop()
    waiter.resolve(value)
    return true
  }

  /** Gives the same value to everybody who waits. */
  resolveAll(value: T): void {
    while (this.resolveOne(value)) {
      // until nobody waits
    }
  }
}
