import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { BroadcastChannel } from 'node:worker_threads'
import type { StackOptions } from '../engine/options.js'
import { fromBytes } from '../net/address.js'
import type { UdpAddress } from '../udp/socket.js'
import { Pause } from './pause.js'
import { addressesOf, type Resolve } from './resolve.js'

/**
 * Message from a worker. `hello`: send me the addresses that are known. `doubt`: my addresses seem wrong, ask the
 * resolver.
 */
export type NameRequest = 'hello' | 'doubt'
/** Message to the workers: the addresses of the name. */
export interface NameNotice {
  readonly addresses: readonly UdpAddress[]
}

export interface NameOptions {
  readonly host: string
  readonly families: readonly (4 | 6)[]
  readonly logger?: StackOptions['logger']
  /** Look-up; for tests. Default: the system's resolver. */
  readonly resolve?: Resolve
  /** For tests. */
  readonly pauses?: Partial<NamePauses>
}

/** Pauses and timeouts of a `NameKeeper`, in milliseconds. */
export interface NamePauses {
  /** How long `NameKeeper.open` waits for the first look-up. */
  readonly start: number
  /** Between two look-ups while no address is known: the first pause, and the maximum. */
  readonly waiting: readonly [number, number]
  /** Between two look-ups that workers ask for: the first pause, and the maximum. */
  readonly doubting: readonly [number, number]
  /** A doubt that comes this long after the last look-up starts with the first pause again. */
  readonly calm: number
}

const pauses: NamePauses = { start: 2_000, waiting: [1_000, 60_000], doubting: [1_000, 30_000], calm: 60_000 }

/**
 * Resolves the name of `remote` in the main thread and tells the workers its addresses; no worker asks the resolver
 * itself. It asks until the name has an address, and again when a worker doubts the addresses. A failed look-up never
 * removes addresses that are known.
 */
export class NameKeeper {
  /** Name of the BroadcastChannel between this object and the workers. */
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
  /** The last look-up found no address. */
  #missing = false
  #asking = false
  #askedAt = 0
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /** Resolves after the first look-up, or after `NamePauses.start` without one. Never rejects. */
  static async open(options: NameOptions): Promise<NameKeeper> {
    const keeper = new NameKeeper(options)
    const enough = new AbortController()
    const timeout = sleep(options.pauses?.start ?? pauses.start, undefined, { signal: enough.signal })
    await Promise.race([keeper.#ask(), timeout.then(() => keeper.#missed('no answer yet'))])
    enough.abort()
    await timeout.catch(() => {})
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

  /** Logs that the name does not resolve: once, until it resolves again. */
  #missed(reason: string): void {
    if (this.#missing) return
    this.#missing = true
    const rest = this.#addresses.length > 0 ? 'its last addresses stay in use' : 'the tunnel waits for it'
    const fields = { event: 'name-unresolved', host: this.#host, code: reason } as const
    this.#logger?.warn(fields, `The name ${this.#host} of \`remote\` does not resolve (${reason}): ${rest}.`)
  }
}

const texts = (addresses: readonly UdpAddress[]): string[] => addresses.map(({ bytes }) => fromBytes(bytes).text)
