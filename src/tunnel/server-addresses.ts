import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { parseAddress } from '../engine/address.js'
import type { ServiceContext } from '../workers/service.js'
import type { RemoteData } from './options.js'

/** Names are asked for at most this often. */
const leastMs = 1_000

/** Where the server is: asked anew whenever a connection was lost or did not come about, since a name may have moved. */
export class ServerAddresses {
  #addresses: readonly Uint8Array[]
  readonly #remote: RemoteData
  readonly #context: ServiceContext
  #askedAt: number
  #asking = false

  constructor(remote: RemoteData, context: ServiceContext) {
    this.#addresses = remote.addresses
    this.#remote = remote
    this.#context = context
    this.#askedAt = context.now()
  }

  get all(): readonly Uint8Array[] {
    return this.#addresses
  }

  /** Asks again, in the background; the old addresses stay until there are new ones. */
  refresh(): void {
    const { host, families } = this.#remote
    const now = this.#context.now()
    if (isIP(host) !== 0 || this.#asking || now - this.#askedAt < leastMs) return
    this.#asking = true
    this.#askedAt = now
    addressesOf(host, families)
      .then(
        found => {
          if (found.length > 0) this.#addresses = found
        },
        (error: Error) =>
          this.#context.log('warn', 'the name of the server does not resolve', { host, reason: error.message }),
      )
      .finally(() => {
        this.#asking = false
      })
  }
}

/** Addresses of a name or literal, of these families only, in the order of the system's resolver but with the families taking turns (RFC 8305 §4). */
export const addressesOf = async (host: string, families: readonly (4 | 6)[]): Promise<Uint8Array[]> => {
  const found = (await lookup(host, { all: true, verbatim: true }))
    .map(({ address }) => parseAddress(address, 'The address of --remote'))
    .filter(({ family }) => families.includes(family))
  const first = found.filter(({ family }) => family === found[0].family)
  const second = found.filter(({ family }) => family !== found[0].family)
  const turns = Array.from({ length: Math.max(first.length, second.length) }, (_, i) => [first[i], second[i]])
  return turns.flatMap(pair => pair.filter(address => address !== undefined).map(({ bytes }) => bytes))
}
