import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { BroadcastChannel } from 'node:worker_threads'
import type { StackOptions } from '../engine/options.js'
import { fromBytes } from '../net/address.js'
import type { UdpAddress } from '../udp/socket.js'
import { Pause } from './pause.js'
import { addressesOf, type Resolve } from './resolve.js'

/**
 * From a worker: what it has may be wrong or old. `hello` wants an answer at once, `doubt` that the resolver is asked.
 */
export type NameRequest = 'hello' | 'doubt'
/** To the workers. */
export interface NameNotice {
  readonly addresses: readonly UdpAddress[]
}

export interface NameOptions {
  readonly host: string
  readonly families: readonly (4 | 6)[]
  readonly logger?: StackOptions['logger']
  /** For tests. */
  readonly resolve?: Resolve
  /** Milliseconds; for tests. */
  readonly pauses?: Partial<NamePauses>
}

export interface NamePauses {
  /** How long the start waits for a first answer. */
  readonly start: number
  /** Between two questions while there is no address: the first pause, and the longest. */
  readonly waiting: readonly [number, number]
  /** Between two questions because of doubts. */
  readonly doubting: readonly [number, number]
  /** After so much time without doubts, pauses are short again. */
  readonly calm: number
}

const pauses: NamePauses = { start: 2_000, waiting: [1_000, 60_000], doubting: [1_000, 30_000], calm: 60_000 }

/**
 * Knows what the name of `remote` stands for, in the main thread: the only one who asks the resolver. Asks in the
 * background until there is a first answer, and again whenever a worker doubts the last one. An answer without
 * addresses never takes away those that are known.
 */
export class NameKeeper {
  /** Name of the BroadcastChannel to the workers. */
  readonly channel = `fake-tcp name ${randomUUID()}`
  readonly #host: string
  readonly #families: readonly (4 | 6)[]
  readonly #logger: StackOptions['logger']
  readonly #resolve: Resolve
  readonly #calm: number
  readonly #waiting: Pause
  readonly #doubting: Pause
  readonly #port = new BroadcastChannel(this.channel)
  #addresses: readonly UdpAddress[] = []
  /** The last answer had none. */
  #missing = false
  #asking = false
  #askedAt = 0
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /** Resolves after the first answer, or a moment later without one. Never rejects. */
  static async open(options: NameOptions): Promise<NameKeeper> {
    const keeper = new NameKeeper(options)
    const enough = new AbortController()
    const patience = sleep(options.pauses?.start ?? pauses.start, undefined, { signal: enough.signal })
    await Promise.race([keeper.#ask(), patience.then(() => keeper.#missed('no answer yet'))])
    enough.abort()
    await patience.catch(() => {})
    return keeper
  }

  private constructor({ host, families, logger, resolve = addressesOf, pauses: given = {} }: NameOptions) {
    const { waiting, doubting, calm } = { ...pauses, ...given }
    this.#host = host
    this.#families = families
    this.#logger = logger
    this.#resolve = resolve
    this.#calm = calm
    this.#waiting = new Pause(...waiting)
    this.#doubting = new Pause(...doubting)
    this.#port.unref()
    this.#port.onmessage = message => this.#requested((message as { data: NameRequest | NameNotice }).data)
  }

  /** Empty until the name has resolved. */
  get addresses(): readonly UdpAddress[] {
    return this.#addresses
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#port.close()
  }

  #requested(request: NameRequest | NameNotice): void {
    if (request === 'hello') this.#tell()
    else if (request === 'doubt') this.#doubt()
  }

  #tell(): void {
    if (this.#addresses.length > 0) this.#port.postMessage({ addresses: this.#addresses } satisfies NameNotice)
  }

  #doubt(): void {
    if (this.#closed || this.#asking || this.#timer !== undefined) return
    const since = performance.now() - this.#askedAt
    if (since > this.#calm) this.#doubting.reset()
    this.#askIn(Math.max(0, this.#doubting.take() - since))
  }

  #askIn(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      void this.#ask()
    }, ms).unref()
  }

  async #ask(): Promise<void> {
    this.#asking = true
    const found = await this.#resolve(this.#host, this.#families).catch(({ code }: NodeJS.ErrnoException) => code)
    this.#asking = false
    this.#askedAt = performance.now()
    if (this.#closed) return
    if (typeof found === 'object' && found.length > 0) this.#found(found)
    else this.#missed(typeof found === 'object' ? `no IPv${this.#families.join(' or ')} address` : (found ?? 'unknown'))
    if (this.#addresses.length === 0) this.#askIn(this.#waiting.take())
  }

  #found(found: readonly UdpAddress[]): void {
    const [before, after] = [texts(this.#addresses), texts(found)]
    const [host, addresses] = [this.#host, after]
    if (this.#missing)
      this.#logger?.info({ event: 'name-resolved', host, addresses }, `The name ${host} of \`remote\` resolves now.`)
    else if (before.length > 0 && before.toSorted().join() !== after.toSorted().join()) {
      this.#logger?.info({ event: 'name-moved', host, addresses, before }, `The name ${host} of \`remote\` has moved.`)
    }
    this.#missing = false
    if (before.join() === after.join()) return
    this.#addresses = found
    this.#doubting.reset()
    this.#tell()
  }

  /** Said once per time that it is missing. */
  #missed(reason: string): void {
    if (this.#missing) return
    this.#missing = true
    const rest = this.#addresses.length > 0 ? 'its last addresses stay in use' : 'the tunnel waits for it'
    const fields = { event: 'name-unresolved', host: this.#host, code: reason } as const
    this.#logger?.warn(fields, `The name ${this.#host} of \`remote\` does not resolve (${reason}): ${rest}.`)
  }
}

const texts = (addresses: readonly UdpAddress[]): string[] => addresses.map(({ bytes }) => fromBytes(bytes).text)
