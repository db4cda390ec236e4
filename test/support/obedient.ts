import { randomUUID } from 'node:crypto'
import { BroadcastChannel } from 'node:worker_threads'

/** What a test may order, for the worker of one queue to do. */
export interface Ordered {
  readonly queue: number
  readonly order:
    | 'die'
    | 'connect'
    | 'connect and be busy'
    | 'close all'
    | 'log'
    | 'loop without end'
    | 'sleep without end'
    | 'sleep in a native call'
    | 'fill the heap'
}
export type Order = Ordered['order']

/** What happens to the service. */
export type Event = 'started' | 'opened' | 'received' | 'closed' | 'connectFailed' | 'stopped'
export interface Happened {
  readonly event: Event
  readonly count: number
}

export interface ObedientData {
  /** Name of the BroadcastChannel for orders and events. */
  readonly channel: string
  /** Where `connect` goes. */
  readonly remote?: Uint8Array
  readonly port?: number
  /** Asks for many connections each millisecond. */
  readonly storm?: boolean
}

/** The test's hold on the services of engine/obedient-service.ts. `data` is for `Stack.serve`. */
export class Obedient {
  readonly data: ObedientData
  readonly #channel: BroadcastChannel
  readonly #counts = new Map<Event, number>()

  constructor(options: Omit<ObedientData, 'channel'> = {}) {
    this.data = { ...options, channel: `obedient ${randomUUID()}` }
    this.#channel = new BroadcastChannel(this.data.channel)
    this.#channel.unref()
    this.#channel.onmessage = message => {
      const { event, count } = (message as { data: Happened }).data
      this.#counts.set(event, this.count(event) + count)
    }
  }

  order(queue: number, order: Order): void {
    this.#channel.postMessage({ queue, order } satisfies Ordered)
  }

  /** How often that has happened, by all that has come in. */
  count(event: Event): number {
    return this.#counts.get(event) ?? 0
  }
}
