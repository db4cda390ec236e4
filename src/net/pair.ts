import type { Address } from './address.js'
import { type Netlink, RouteType } from './netlink.js'

/** Both ends of a TUN interface: the kernel's and ours. */
export interface AddressPair {
  readonly host: Address
  readonly stack: Address
}

/** Who has an address of a pair, in words: '192.168.200.1 is in use on eth0'. */
export interface Conflict {
  readonly end: keyof AddressPair
  readonly text: string
}

/**
 * Whether routes of this type carry packets away; the others only keep them from going astray (blackholes for private
 * networks).
 */
const carries = (type: number): boolean =>
  type === RouteType.unicast || type === RouteType.local || type === RouteType.broadcast

/** Interface that a more special route than the default one leads `address` to, and how. */
const holder = (netlink: Netlink, address: Address): { name: string; local: boolean; routed: boolean } | undefined => {
  const route = netlink.route(address.bytes)
  if (route === undefined || route.prefixLength === 0 || !carries(route.type)) return undefined
  const name = netlink.links().find(({ index }) => index === route.index)?.name ?? `interface ${route.index}`
  return { name, local: route.type === RouteType.local, routed: route.gateway }
}

/**
 * What stands in the way of a pair that somebody asked for; an address of this machine may well be the kernel's end of
 * one more interface.
 */
export const conflictOf = (netlink: Netlink, { host, stack }: AddressPair): Conflict | undefined => {
  const peer = holder(netlink, stack)
  // A single host behind a point-to-point interface is more special than any route to a network behind a router.
  if (peer !== undefined && !peer.routed) {
    return {
      end: 'stack',
      text: `${stack.text} ${peer.local ? 'is an address of this machine already' : `is in use on ${peer.name}`}`,
    }
  }
  const own = holder(netlink, host)
  if (own === undefined || own.local || own.routed) return undefined
  return { end: 'host', text: `${host.text} belongs to the network on ${own.name}` }
}

/** What stands in the way of a pair that nobody asked for: anything at all. */
export const anyConflictOf = (netlink: Netlink, { host, stack }: AddressPair): Conflict | undefined => {
  for (const [end, address] of [
    ['stack', stack],
    ['host', host],
  ] as const) {
    const found = holder(netlink, address)
    if (found !== undefined) return { end, text: `${address.text} is in use on ${found.name}` }
  }
  return undefined
}
