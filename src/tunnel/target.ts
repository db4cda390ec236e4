import { describeUdp, type UdpAddress } from '../udp/socket.js'
import type { ServiceContext } from '../workers/service.js'
import { NameReader } from './name-reader.js'
import { Pause } from './pause.js'
import type { RemoteData } from './service-data.js'

/**
 * Milliseconds between two rounds through a name's addresses while all of them refuse: the first pause, the maximum.
 */
const roundPause = [250, 2_000] as const

/**
 * The UDP service in one worker of the server: the addresses of its name, and the one in use. When that one refuses,
 * the next one takes its place.
 */
export class Target {
  readonly port: number
  /** Number of the address list: counts up when the name has other addresses. */
  version = 0
  readonly #context: ServiceContext
  readonly #names: NameReader
  readonly #refused = new Set<string>()
  readonly #pause = new Pause(...roundPause)
  #current = 0
  /** Earliest time of the next round through addresses that have all refused. */
  #nextRound = 0

  /** `changed` is called, in a turn of the worker, when the name has other addresses. */
  constructor(context: ServiceContext, remote: RemoteData, changed: () => void) {
    this.port = remote.port
    this.#context = context
    this.#names = new NameReader(remote, () =>
      context.after(0, () => {
        this.version++
        this.#current = 0
        this.#refused.clear()
        changed()
      }),
    )
  }

  /** Address for new flows; undefined while the name does not resolve. */
  get current(): UdpAddress | undefined {
    return this.#names.addresses[this.#current]
  }

  /** Whether this is one of the name's addresses. */
  has(address: UdpAddress): boolean {
    const key = this.describe(address)
    return this.#names.addresses.some(each => this.describe(each) === key)
  }

  /** 'address:port' */
  describe(address: UdpAddress): string {
    return describeUdp(address, this.port)
  }

  /** Has the name looked up again: the service cannot be reached or does not answer, so the name may have moved. */
  doubt(): void {
    this.#names.doubt(this.#context.now())
  }

  /**
   * Call when nobody listens at `address`, or it cannot be connected to. The address to use instead; undefined when
   * there is none for now.
   */
  refused(address: UdpAddress): UdpAddress | undefined {
    const { addresses } = this.#names
    this.doubt()
    const { current } = this
    if (current === undefined) return undefined
    // Another flow has reported the refusal already.
    if (this.describe(current) !== this.describe(address)) return current
    this.#refused.add(this.describe(address))
    const willing = (i: number) => !this.#refused.has(this.describe(addresses[i]))
    const next = this.#after(willing)
    if (next !== undefined) return next
    const now = this.#context.now()
    if (addresses.length < 2 || now < this.#nextRound) return undefined
    this.#nextRound = now + this.#pause.take()
    this.#refused.clear()
    return this.#after(() => true)
  }

  /** Call when an address that had refused answers. */
  answered(address: UdpAddress): void {
    this.#refused.delete(this.describe(address))
    this.#pause.reset()
  }

  close(): void {
    this.#names.close()
  }

  /** Makes the next address that passes `fit` the current one. */
  #after(fit: (address: number) => boolean): UdpAddress | undefined {
    const { length } = this.#names.addresses
    for (let step = 1; step < length; step++) {
      const next = (this.#current + step) % length
      if (!fit(next)) continue
      this.#current = next
      return this.#names.addresses[next]
    }
    return undefined
  }
}
