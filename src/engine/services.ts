import { FakeTcpError } from '../errors.js'
import type { CounterRow } from '../memory/counter-table.js'
import { ServiceCounters } from '../memory/service-counters.js'
import type { Order, Report } from '../path/messages.js'
import type { Acceptor } from './acceptor.js'
import type { QueueWorkers } from './queue-workers.js'

/** The services of a stack. Every worker loads all of them, and so does a worker that takes a dead one's place. */
export class Services {
  /** The counters that the services have declared. */
  readonly counters = new ServiceCounters()
  readonly #workers: QueueWorkers
  /** By service number. */
  readonly #orders: Extract<Order, { kind: 'serve' }>[] = []
  readonly #loading = new Map<number, { left: number; resolve: () => void; reject: (error: Error) => void }>()

  constructor(workers: QueueWorkers) {
    this.#workers = workers
  }

  /**
   * Loads a service module, which counts by `rows`, into every worker. Resolves with an acceptor for its connections.
   * Rejects with CLOSED, or with the code and message of what the module throws (WORKER unless it is a FakeTcpError).
   * Throws INVALID_ARGUMENT.
   */
  serve(url: string, data: unknown, rows: readonly CounterRow[]): Promise<Acceptor> {
    const counters = this.counters.declare(rows)
    const id = this.#orders.length
    const order = { kind: 'serve', id, url, data, counters } as const
    this.#orders.push(order)
    return new Promise((resolve, reject) => {
      this.#loading.set(id, { left: this.#workers.count, resolve: () => resolve(acceptorOf(id)), reject })
      this.#workers.broadcast(order)
    })
  }

  /** A worker has loaded a service, or failed to. */
  served({ id, error }: Extract<Report, { kind: 'served' }>): void {
    const loading = this.#loading.get(id)
    if (loading === undefined) return
    if (error !== undefined) {
      this.#loading.delete(id)
      loading.reject(new FakeTcpError(error.code, error.message))
    } else if (--loading.left === 0) {
      this.#loading.delete(id)
      loading.resolve()
    }
  }

  /** The worker of `queue` is new: it loads all services. */
  restore(queue: number): void {
    for (const order of this.#orders) this.#workers.post(queue, order)
  }

  abandon(error: FakeTcpError): void {
    for (const { reject } of this.#loading.values()) reject(error)
    this.#loading.clear()
  }
}

/** A service accepts every connection, in the worker on whose queue it came. The worker itself tells the service. */
const acceptorOf = (service: number): Acceptor => ({
  admits: () => true,
  user: queue => ({ consumer: queue, service, token: 0 }),
  accepted: () => {},
})
