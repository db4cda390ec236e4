import { describeUdp, type UdpAddress } from '../udp/socket.js'
import type { ServiceContext } from '../workers/service.js'
import { NameReader } from './name-reader.js'
import { Pause } from './pause.js'
import type { RemoteData } from './service-data.js'

/** When every address of a name refuses: milliseconds until they are tried again, at first and at most. */
const roundPause = [250, 2_000] as const

/**
 * The UDP service as one worker knows it: the addresses of its name, and which one is in use. An address that refuses
 * leads to the next one.
 */
export class Target {
  readonly port: number
  /** Changes with the addresses. */
  version = 0
  readonly #context: ServiceContext
  readonly #names: NameReader
  readonly #refused = new Set<string>()
  readonly #pause = new Pause(...roundPause)
  #current = 0
  /** When all have refused: the time of the next round. */
  #nextRound = 0

  /** `changed` is called, in a turn of the worker, when the name stands for other addresses. */
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

  /** Where new flows go; undefined while the name does not resolve. */
  get current(): UdpAddress | undefined {
    return this.#names.addresses[this.#current]
  }

  /** Whether the name stands for this address. */
  has(address: UdpAddress): boolean {
    const key = this.describe(address)
    return this.#names.addresses.some(each => this.describe(each) === key)
  }

  /** 'address:port' */
  describe(address: UdpAddress): string {
    return describeUdp(address, this.port)
  }

  /** Nobody answers there, or the answers stay away: the name may have moved. */
  doubt(): void {
    this.#names.doubt(this.#context.now())
  }

  /** Nobody listens at this address. Where to go instead; undefined: nowhere, for now. */
  refused(address: UdpAddress): UdpAddress | undefined {
    const { addresses } = this.#names
    this.doubt()
    const { current } = this
    if (current === undefined) return undefined
    // Somebody else has found out already.
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

  /** An address that had refused has answered. */
  answered(address: UdpAddress): void {
    this.#refused.delete(this.describe(address))
    this.#pause.reset()
  }

  close(): void {
    this.#names.close()
  }

  /** Makes the next address that is fit the current one. */
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
