import { Errno, native, UdpFlag } from '../native.js'
import { describeUdp, familyOf, openUdp, scopeOf, type UdpAddress, UdpError, type UdpSocket } from '../udp/socket.js'
import type { ServiceContext } from '../workers/service.js'
import type { UdpIntake } from './intake.js'
import type { SourcePort, SourcePorts } from './source-ports.js'

/** Other programs' ports, one after the other, until a flow is refused. */
const maxTries = 32

/** What the sockets of one worker's legs share. */
export interface LegSockets {
  readonly context: ServiceContext
  readonly intake: UdpIntake
  readonly ports: SourcePorts
  /** Whether the kernel can merge what arrives. */
  readonly gro: boolean
}

export const isLoopback = ({ bytes }: UdpAddress): boolean =>
  bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, i) => byte === (i === 15 ? 1 : 0))

/** Needs a source on 127.0.0.0/8, of which there are many. */
const hasManySources = (address: UdpAddress): boolean => familyOf(address) === 4 && isLoopback(address)

/**
 * A UDP socket with a source port of its own choice, connected to a service: again and again, if need be, and the port
 * stays.
 */
export class LegSocket implements UdpSocket {
  readonly fd: number
  readonly family: 4 | 6
  readonly #shared: LegSockets
  /** undefined: the kernel chose it. */
  readonly #source: SourcePort | undefined
  #handler: (() => boolean) | undefined

  /** A socket that may be connected to this address. Throws UdpError without a descriptor, or a port. */
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
   * From now on `handler` is called when something has come from there. 0 or -errno: it is connected to nobody then.
   */
  connect(to: UdpAddress, port: number, handler: () => boolean): number {
    this.#unwatch()
    native.udpDisconnect(this.fd)
    const scope = scopeOf(to.zone)
    const result = scope < 0 ? scope : native.udpConnect(this.fd, to.bytes, port, scope)
    if (result < 0) return result
    // A socket without a peer takes from anyone.
    this.#shared.intake.discard(this.fd)
    const watched = this.#shared.context.onReadable(this.fd, handler)
    if (watched === 0) this.#handler = handler
    return watched
  }

  /** Address that its datagrams leave from, while it is connected. */
  ownAddress(): Uint8Array {
    const address = new Uint8Array(this.family === 4 ? 4 : 16)
    native.udpAddress(this.fd, address)
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
      // Not allowed to choose, or without this loopback address: the kernel chooses.
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
 * Whether addresses are this machine's, by trying to use them; known for a moment, since many flows ask for the same
 * ones.
 */
export class OwnAddresses {
  readonly #now: () => number
  #known = new Map<string, boolean>()
  #until = 0

  constructor(now: () => number) {
    this.#now = now
  }

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
