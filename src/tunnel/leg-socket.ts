import { Errno, native, UdpFlag } from '../native.js'
import { describeUdp, familyOf, openUdp, scopeOf, type UdpAddress, UdpError, type UdpSocket } from '../udp/socket.js'
import type { ServiceContext } from '../workers/service.js'
import type { UdpIntake } from './intake.js'
import type { SourcePort, SourcePorts } from './source-ports.js'

/** Maximum number of source ports that a socket tries when other programs have them. */
const maxTries = 32

/** What the sockets of one worker's legs share. */
export interface LegSockets {
  readonly context: ServiceContext
  readonly intake: UdpIntake
  readonly ports: SourcePorts
  /** Whether the kernel can merge arriving datagrams (UDP_GRO). */
  readonly gro: boolean
}

/** Whether an address is in 127.0.0.0/8, or is ::1. */
export const isLoopback = ({ bytes }: UdpAddress): boolean =>
  bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, i) => byte === (i === 15 ? 1 : 0))

/** Whether sockets to this address can have any of the 127.0.0.0/8 addresses as their source. */
const hasManySources = (address: UdpAddress): boolean => familyOf(address) === 4 && isLoopback(address)

/**
 * A UDP socket for one leg, with a source port from `SourcePorts`. It can be connected several times and keeps its
 * port.
 */
export class LegSocket implements UdpSocket {
  readonly fd: number
  readonly family: 4 | 6
  readonly #shared: LegSockets
  /** undefined: the kernel chooses the port. */
  readonly #source: SourcePort | undefined
  #handler: (() => boolean) | undefined

  /** Opens and binds a socket that can be connected to `to`. Throws UdpError when no descriptor or no port is left. */
  constructor(shared: LegSockets, to: UdpAddress) {
    const flags = (shared.gro ? UdpFlag.gro : 0) | UdpFlag.v6Only
    const { fd, family } = openUdp(familyOf(to), flags)
    this.fd = fd
    this.family = family
    this.#shared = shared
    try {
      this.#source = this.#bind(hasManySources(to))
    } catch (error) {
      native.close(fd)
      throw error
    }
  }

  /** Whether this socket can be connected to that address. */
  fits(to: UdpAddress): boolean {
    return familyOf(to) === this.family && (this.#source?.address !== undefined) === hasManySources(to)
  }

  /**
   * Connects to an address; from now on `handler` is called when something has come from there. 0, or -errno: then
   * `handler` is not called, and nothing should be sent.
   */
  connect(to: UdpAddress, port: number, handler: () => boolean): number {
    this.#unwatch()
    // A socket that was not connected refuses this.
    void native.udpDisconnect(this.fd)
    const scope = scopeOf(to.zone)
    const result = scope < 0 ? scope : native.udpConnect(this.fd, to.bytes, port, scope)
    if (result < 0) return result
    // Until `udpConnect` the socket had no peer, and anyone may have sent to it.
    this.#shared.intake.discard(this.fd)
    const watched = this.#shared.context.onReadable(this.fd, handler)
    if (watched === 0) this.#handler = handler
    return watched
  }

  /** Source address of its datagrams, 4 or 16 bytes, while it is connected. */
  ownAddress(): Uint8Array {
    const address = new Uint8Array(this.family === 4 ? 4 : 16)
    // A socket without an address leaves the bytes zero, which no interface has.
    void native.udpAddress(this.fd, address)
    return address
  }

  close(): void {
    this.#unwatch()
    native.close(this.fd)
    if (this.#source !== undefined) this.#shared.ports.release(this.#source, this.#shared.context.now())
  }

  #unwatch(): void {
    if (this.#handler === undefined) return
    this.#shared.context.offReadable(this.fd)
    this.#handler = undefined
  }

  /** Binds to a port of the plan. undefined when the kernel refuses, and chooses a port itself later. */
  #bind(manySources: boolean): SourcePort | undefined {
    const { ports, context } = this.#shared
    const now = context.now()
    for (let i = 0; i < maxTries; i++) {
      const source = ports.take(manySources, now)
      if (source === undefined) break
      const address = source.address ?? new Uint8Array(this.family === 4 ? 4 : 16)
      const result = native.udpBind(this.fd, address, source.port, 0)
      if (result === 0) return source
      ports.release(source, now)
      if (result === -Errno.EADDRINUSE) continue
      // EADDRNOTAVAIL on a loopback address other than 127.0.0.1: the interface lacks it. All other errors, such as a
      // sandbox that forbids bind: the kernel chooses.
      if (result === -Errno.EADDRNOTAVAIL && source.address?.[3] !== 1) ports.keepToOneAddress()
      else return undefined
    }
    throw new UdpError(
      Errno.EADDRINUSE,
      'No UDP source port is left for one more connection: make net.ipv4.ip_local_port_range smaller.',
    )
  }
}

/**
 * Knows which addresses are this machine's: it binds a socket to them. Many flows ask about the same addresses, so an
 * answer is remembered for up to half a second.
 */
export class OwnAddresses {
  readonly #now: () => number
  #known = new Map<string, boolean>()
  #until = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** Whether this machine has the address; true when trying it fails for another reason. */
  has(bytes: Uint8Array, zone: string): boolean {
    if (this.#now() >= this.#until) {
      this.#known.clear()
      this.#until = this.#now() + 500
    }
    const key = describeUdp({ bytes, zone }, 0)
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const family = bytes.length === 4 ? 4 : 6
    const fd = native.udpOpen(family, UdpFlag.v6Only)
    const result = fd < 0 ? fd : native.udpBind(fd, bytes, 0, Math.max(0, scopeOf(zone)))
    if (fd >= 0) native.close(fd)
    const is = result !== -Errno.EADDRNOTAVAIL
    this.#known.set(key, is)
    return is
  }
}
