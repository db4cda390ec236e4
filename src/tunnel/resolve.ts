import { lookup } from 'node:dns/promises'
import { isLinkLocal, parseAddress } from '../net/address.js'
import type { UdpAddress } from '../udp/socket.js'

/** Looks up the addresses of a name. Rejects with an error that has a `code`. */
export type Resolve = (host: string, families: readonly (4 | 6)[]) => Promise<readonly UdpAddress[]>

/**
 * Asks the system's resolver for a name's addresses of these families. Keeps its order within a family; the two
 * families alternate (RFC 8305 §4). Leaves link-local addresses out, since a name does not say which link. Rejects as
 * `lookup` of node:dns.
 */
export const addressesOf: Resolve = async (host, families) => {
  const found = (await lookup(host, { all: true, verbatim: true }))
    .map(({ address }) => parseAddress(address, 'An address of `remote`'))
    .filter(({ family, bytes }) => families.includes(family) && !isLinkLocal(bytes))
  const first = found.filter(({ family }) => family === found[0].family)
  const second = found.filter(({ family }) => family !== found[0].family)
  const turns = Array.from({ length: Math.max(first.length, second.length) }, (_, i) => [first[i], second[i]])
  return turns.flatMap(pair => pair.filter(address => address !== undefined).map(({ bytes }) => ({ bytes, zone: '' })))
}
