import type { Address } from './address.js'
import { type Netlink, RouteType } from './netlink.js'

/** The addresses of a TUN interface: the kernel's end (`host`) and ours (`stack`). */
export interface AddressPair {
  readonly host: Address
  readonly stack: Address
}

/** An address of a pair that is in use. `text` says where, in words: '192.168.200.1 is in use on eth0'. */
export interface Conflict {
  readonly end: keyof AddressPair
  readonly text: string
}

/**
 * Whether routes of this type deliver packets. Other types discard them, like the blackholes that keep packets to
 * private networks from leaving by the default route.
 */
const carries = (type: number): boolean =>
  type === RouteType.unicast || type === RouteType.local || type === RouteType.broadcast

/**
 * The interface to which a route leads `address`; undefined when only the default route does, or none. `local`: it is
 * an address of this machine. `routed`: a router is the next hop.
 */
const holder = (netlink: Netlink, address: Address): { name: string; local: boolean; routed: boolean } | undefined => {
  const route = netlink.route(address.bytes)
  if (route === undefined || route.prefixLength === 0 || !carries(route.type)) return undefined
  const name = netlink.links().find(({ index }) => index === route.index)?.name ?? `interface ${route.index}`
  return { name, local: route.type === RouteType.local, routed: route.gateway }
}

/**
 * Why a pair that the user chose cannot be used; undefined when it can. `host` may be an address of this machine
 * already, since several point-to-point interfaces can share their own end's address.
 */
export const conflictOf = (netlink: Netlink, { host, stack }: AddressPair): Conflict | undefined => {
  const peer = holder(netlink, stack)
  // Networks behind a router do not conflict: the route to the one peer of a TUN interface is more specific than
  // theirs.
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

/**
 * Why a default pair cannot be used; undefined when it can. Any route that delivers packets to one of its ends is a
 * reason, except the default route.
 */
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
