import type { Address } from './address.js'
import { type Netlink, RouteType } from './netlink.js'

/** Knows, by destination, how large a packet may be that leaves this machine unfragmented. */
export class FirstHopMtu {
  readonly #netlink: Netlink
  /** Index of the stack's TUN interface. Its MTU does not count, since packets come from it. */
  readonly #own: number
  #byLink = new Map<number, number>()
  #smallest = 0

  constructor(netlink: Netlink, own: number) {
    this.#netlink = netlink
    this.#own = own
    this.refresh()
  }

  /** Reads the interfaces again. Call when they have changed. */
  refresh(): void {
    const links = this.#netlink.links().filter(({ index, up }) => up && index !== this.#own)
    this.#byLink = new Map(links.map(({ index, mtu }) => [index, mtu]))
    this.#smallest = Math.min(...this.#byLink.values())
  }

  /**
   * Bytes of the largest packet to `remote`, at most `max`. Asks the kernel for the route only if some interface has an
   * MTU below `max`.
   */
  to(remote: Address, max: number): number {
    if (this.#smallest >= max) return max
    const route = this.#netlink.route(remote.bytes)
    if (route === undefined || route.type !== RouteType.unicast) return max
    const link = this.#byLink.get(route.index) ?? max
    return Math.min(max, link, route.mtu > 0 ? route.mtu : max)
  }
}
