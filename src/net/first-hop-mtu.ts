import type { Address } from './address.js'
import { type Netlink, RouteType } from './netlink.js'

/** The largest packets that leave this machine whole, by destination. */
export class FirstHopMtu {
  readonly #netlink: Netlink
  /** Interface whose own MTU does not count: packets come from it. */
  readonly #own: number
  #byLink = new Map<number, number>()
  #smallest = 0

  constructor(netlink: Netlink, own: number) {
    this.#netlink = netlink
    this.#own = own
    this.refresh()
  }

  /** Interfaces have changed. */
  refresh(): void {
    const links = this.#netlink.links().filter(({ index, up }) => up && index !== this.#own)
    this.#byLink = new Map(links.map(({ index, mtu }) => [index, mtu]))
    this.#smallest = Math.min(...this.#byLink.values())
  }

  /**
   * Bytes of the largest packet to `remote`, `most` at the most. Asks the kernel only where some interface carries less
   * than `most`.
   */
  to(remote: Address, most: number): number {
    if (this.#smallest >= most) return most
    const route = this.#netlink.route(remote.bytes)
    if (route === undefined || route.type !== RouteType.unicast) return most
    const link = this.#byLink.get(route.index) ?? most
    return Math.min(most, link, route.mtu > 0 ? route.mtu : most)
  }
}
