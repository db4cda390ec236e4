import { endianness } from 'node:os'
import { ErrorCode, FakeTcpError } from '../errors.js'
import { errnoName, native } from '../native.js'

/**
 * rtnetlink(7): asks the kernel for interfaces, addresses and routes, and changes them. Numbers are in this machine's
 * byte order, addresses in network byte order, 4 or 16 bytes.
 */

const little = endianness() === 'LE'

const Type = {
  newLink: 16,
  getLink: 18,
  newAddress: 20,
  deleteAddress: 21,
  getAddress: 22,
  newRoute: 24,
  getRoute: 26,
  getNeighbour: 30,
} as const
const Control = { error: 2, done: 3 } as const
const Flag = { request: 1, acknowledge: 4, exclusive: 0x200, create: 0x400, dump: 0x300 } as const
const LinkAttribute = { name: 3, mtu: 4 } as const
const AddressAttribute = { address: 1, local: 2 } as const
const RouteAttribute = { destination: 1, outInterface: 4, gateway: 5, source: 7, metrics: 8, via: 18 } as const
const metricMtu = 2
const neighbourDestination = 1
/** States of a neighbour that has not answered yet (NUD_INCOMPLETE), or not in time (NUD_FAILED). */
const unanswered = 0x01 | 0x20

const headerBytes = 16
const linkBytes = 16
const addressBytes = 8
const routeBytes = 12
const neighbourBytes = 12

const inet = 2
const inet6 = 10
/** RTM_F_FIB_MATCH (Linux 4.13): the kernel answers with the route that matched, not with one to the single address. */
const fibMatch = 0x2000
// RT_TABLE_MAIN, RTPROT_KERNEL and RT_SCOPE_LINK.
const mainTable = 254
const byKernel = 2
const scopeLink = 253
/**
 * IFA_F_NODAD: no duplicate address detection. A point-to-point link has no third host, and a tentative address could
 * not be bound for a second.
 */
const withoutDetection = 2

/** Types of routes (RTN_*). */
export const RouteType = { unicast: 1, local: 2, broadcast: 3, blackhole: 6, unreachable: 7, prohibit: 8 } as const

/** Multicast groups for `netlinkOpen` (RTMGRP_*): changes of interfaces, addresses and routes, of both families. */
export const changeGroups = 0x1 | 0x10 | 0x40 | 0x100 | 0x400

export interface Link {
  readonly index: number
  readonly name: string
  readonly up: boolean
  readonly mtu: number
}

export interface InterfaceAddress {
  /** Index of the interface that has it. */
  readonly index: number
  readonly local: Uint8Array
  /** The other end of a point-to-point interface; elsewhere the same as `local`. */
  readonly peer: Uint8Array
  readonly prefixLength: number
}

/** The route that packets of this machine take to an address. */
export interface Route {
  /** One of `RouteType`. */
  readonly type: number
  /** Index of the interface that the packets leave by; 0: none. */
  readonly index: number
  /** Length of the prefix that matched; 0: a default route. */
  readonly prefixLength: number
  /** Whether the next hop is a router. */
  readonly gateway: boolean
  /** Address of the next hop: the router, or the destination itself. */
  readonly hop: Uint8Array
  /** The route's own MTU in bytes; 0: the interface's holds. */
  readonly mtu: number
}

/** One message of the kernel's answer: its fixed part and its attributes. */
class Reply {
  readonly #view: DataView
  readonly #attributes = new Map<number, Uint8Array>()

  constructor(bytes: Uint8Array, fixedBytes: number) {
    this.#view = viewOf(bytes)
    for (const [type, value] of attributes(bytes.subarray(fixedBytes))) this.#attributes.set(type, value)
  }

  byte(at: number): number {
    return this.#view.getUint8(at)
  }

  half(at: number): number {
    return this.#view.getUint16(at, little)
  }

  word(at: number): number {
    return this.#view.getUint32(at, little)
  }

  attribute(type: number): Uint8Array | undefined {
    return this.#attributes.get(type)
  }

  /** A 32-bit attribute; 0 when it is missing. */
  number(type: number): number {
    const value = this.#attributes.get(type)
    return value === undefined || value.length < 4 ? 0 : viewOf(value).getUint32(0, little)
  }
}

/** A socket for requests. It belongs to the network namespace of the thread that opened it. */
export class Netlink {
  readonly #fd: number
  readonly #buffer = new Uint8Array(32_768)
  #sequence = 0

  /** Throws DEVICE when the kernel refuses the socket. */
  constructor() {
    this.#fd = native.netlinkOpen(0)
    if (this.#fd < 0) {
      throw new FakeTcpError(ErrorCode.DEVICE, `The kernel refused a routing socket (${errnoName(this.#fd)}).`)
    }
  }

  close(): void {
    native.close(this.#fd)
  }

  /** Every interface. */
  links(): Link[] {
    return this.#ask(Type.getLink, Flag.dump, new Uint8Array(linkBytes), linkBytes).messages.map(linkOf)
  }

  /** The interface of this name or index, or undefined. */
  link(which: string | number): Link | undefined {
    const fixed = new Uint8Array(linkBytes)
    if (typeof which === 'number') viewOf(fixed).setUint32(4, which, little)
    const name = typeof which === 'string' ? [attribute(LinkAttribute.name, Buffer.from(`${which}\0`))] : []
    return this.#ask(Type.getLink, 0, joined([fixed, ...name]), linkBytes).messages.map(linkOf)[0]
  }

  /** Every address of this machine. */
  addresses(): InterfaceAddress[] {
    return this.#ask(Type.getAddress, Flag.dump, new Uint8Array(addressBytes), addressBytes).messages.flatMap(reply => {
      const { address, local } = AddressAttribute
      const peer = reply.attribute(address)
      const own = reply.attribute(local) ?? peer
      if (own === undefined) return []
      return [{ index: reply.word(4), local: own, peer: peer ?? own, prefixLength: reply.byte(1) }]
    })
  }

  /**
   * Gives an interface a point-to-point address. The kernel adds the route to `peer`. 0 or -errno (-EEXIST: the
   * interface has the address).
   */
  addAddress(index: number, local: Uint8Array, peer: Uint8Array): number {
    return this.#create(Type.newAddress, addressRequest(index, local, peer))
  }

  /** Removes an address that `addAddress` gave. 0 or -errno. */
  removeAddress(index: number, local: Uint8Array, peer: Uint8Array): number {
    return this.#ask(Type.deleteAddress, Flag.acknowledge, addressRequest(index, local, peer), 0).result
  }

  /** The route to `address`; undefined when there is none. */
  route(address: Uint8Array): Route | undefined {
    const fixed = new Uint8Array(routeBytes)
    fixed[0] = familyOf(address)
    fixed[1] = address.length * 8
    viewOf(fixed).setUint32(8, fibMatch, little)
    const request = joined([fixed, attribute(RouteAttribute.destination, address)])
    const [reply] = this.#ask(Type.getRoute, 0, request, routeBytes).messages
    if (reply === undefined) return undefined
    const { outInterface, gateway, via, metrics } = RouteAttribute
    const mtu = attributes(reply.attribute(metrics) ?? new Uint8Array(0)).find(([type]) => type === metricMtu)?.[1]
    // RTA_VIA names a router of the other family. Its address comes after two bytes of family.
    const router = reply.attribute(gateway) ?? reply.attribute(via)?.subarray(2)
    return {
      type: reply.byte(7),
      index: reply.number(outInterface),
      prefixLength: reply.byte(1),
      gateway: router !== undefined,
      hop: router ?? address,
      mtu: mtu === undefined ? 0 : viewOf(mtu).getUint32(0, little),
    }
  }

  /** Whether `address` leaves the kernel's neighbour requests (ARP, NDP) on this interface unanswered. */
  isUnanswered(index: number, address: Uint8Array): boolean {
    const { messages } = this.#ask(Type.getNeighbour, Flag.dump, new Uint8Array(neighbourBytes), neighbourBytes)
    return messages.some(reply => {
      const destination = reply.attribute(neighbourDestination) ?? new Uint8Array(0)
      return reply.word(4) === index && (reply.half(8) & unanswered) !== 0 && Buffer.compare(destination, address) === 0
    })
  }

  /**
   * Adds the route to `peer` as the kernel makes it for a point-to-point address. 0 or -errno (-EEXIST: it is there).
   */
  addPeerRoute(index: number, local: Uint8Array, peer: Uint8Array): number {
    const scope = peer.length === 4 ? scopeLink : 0
    const kind = [mainTable, byKernel, scope, RouteType.unicast]
    const fixed = Uint8Array.of(familyOf(peer), peer.length * 8, 0, 0, ...kind, 0, 0, 0, 0)
    const out = new Uint8Array(4)
    viewOf(out).setUint32(0, index, little)
    const parts = [fixed, attribute(RouteAttribute.destination, peer), attribute(RouteAttribute.outInterface, out)]
    // The kernel's own route for IPv6 has no source: IPv6 selects it by itself.
    if (peer.length === 4) parts.push(attribute(RouteAttribute.source, local))
    return this.#create(Type.newRoute, joined(parts))
  }

  #create(type: number, body: Uint8Array): number {
    return this.#ask(type, Flag.acknowledge | Flag.create | Flag.exclusive, body, 0).result
  }

  /**
   * Sends one request and reads the answer. The kernel has queued it by the time that the write returns. `result`: 0 or
   * -errno.
   */
  #ask(type: number, flags: number, body: Uint8Array, fixedBytes: number): { result: number; messages: Reply[] } {
    const request = new Uint8Array(headerBytes + body.length)
    const header = viewOf(request)
    const sequence = ++this.#sequence
    header.setUint32(0, request.length, little)
    header.setUint16(4, type, little)
    header.setUint16(6, Flag.request | flags, little)
    header.setUint32(8, sequence, little)
    request.set(body, headerBytes)
    const sent = native.write(this.#fd, request, 0, request.length)
    if (sent < 0) return { result: sent, messages: [] }
    const messages: Reply[] = []
    for (;;) {
      const length = native.read(this.#fd, this.#buffer, 0, this.#buffer.length)
      if (length <= 0) return { result: length, messages }
      const answer = this.#buffer.slice(0, length)
      const view = viewOf(answer)
      for (let at = 0; at + headerBytes <= length; ) {
        const bytes = view.getUint32(at, little)
        const kind = view.getUint16(at + 4, little)
        if (bytes < headerBytes || at + bytes > length) break
        // Belongs to an earlier request, whose answer was not read to its end.
        const late = view.getUint32(at + 8, little) !== sequence
        if (!late && kind === Control.done) return { result: 0, messages }
        if (!late && kind === Control.error) return { result: view.getInt32(at + headerBytes, little), messages }
        if (!late) messages.push(new Reply(answer.subarray(at + headerBytes, at + bytes), fixedBytes))
        at += aligned(bytes)
      }
      if (messages.length > 0 && (flags & Flag.dump) === 0) return { result: 0, messages }
    }
  }
}

const linkOf = (reply: Reply): Link => {
  const name = reply.attribute(LinkAttribute.name) ?? new Uint8Array(0)
  return {
    index: reply.word(4),
    name: Buffer.from(name).toString('utf8').replace(/\0+$/u, ''),
    up: (reply.word(8) & 1) !== 0,
    mtu: reply.number(LinkAttribute.mtu),
  }
}

/** The body of a request to add or remove a point-to-point address. */
const addressRequest = (index: number, local: Uint8Array, peer: Uint8Array): Uint8Array => {
  const fixed = Uint8Array.of(familyOf(local), local.length * 8, withoutDetection, 0, 0, 0, 0, 0)
  viewOf(fixed).setUint32(4, index, little)
  return joined([fixed, attribute(AddressAttribute.local, local), attribute(AddressAttribute.address, peer)])
}

const familyOf = (address: Uint8Array): number => (address.length === 4 ? inet : inet6)

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

const aligned = (bytes: number): number => (bytes + 3) & ~3

const joined = (parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

/** One attribute, padded to four bytes. */
const attribute = (type: number, value: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(aligned(4 + value.length))
  viewOf(bytes).setUint16(0, 4 + value.length, little)
  viewOf(bytes).setUint16(2, type, little)
  bytes.set(value, 4)
  return bytes
}

/** Attributes that lie one after the other: pairs of type and value. */
const attributes = (bytes: Uint8Array): [type: number, value: Uint8Array][] => {
  const found: [number, Uint8Array][] = []
  const view = viewOf(bytes)
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = view.getUint16(at, little)
    if (length < 4 || at + length > bytes.length) break
    found.push([view.getUint16(at + 2, little) & 0x3fff, bytes.subarray(at + 4, at + length)])
    at += aligned(length)
  }
  return found
}
