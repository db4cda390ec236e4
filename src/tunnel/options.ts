import { type KeepaliveOptions, resolveOptions, type StackOptions } from '../engine/options.js'
import type { TunOptions } from '../engine/tun-options.js'
import { checkPort } from '../net/address.js'
import { type Given, type Resolved, resolveNumbers } from '../numbers.js'
import type { UdpAddress } from '../udp/socket.js'
import { checkReachable, literalAddress, parseEndpoint, parseUdpAddress } from './arguments.js'

/** Numeric options that the services in the workers read: part of `TunnelData`. */
export const serviceNumbers = {
  /** Milliseconds without traffic after which a connection is closed. The default is phantun's: three minutes. */
  idleMs: { default: 180_000, min: 1_000, max: 7 * 24 * 3_600_000 },
} as const

export type ServiceOptions = Resolved<typeof serviceNumbers>

/** Numeric options that only the main thread reads. */
export const tunnelNumbers = {
  /** Maximum number of flows at once. Default: what the machine has room for, at most 32,768. */
  maxFlows: { min: 1, max: 1_048_576 },
} as const

/** Default addresses of each side's TUN interface: those of phantun. */
export const tunAddresses = {
  client: {
    hostAddress: '192.168.200.1',
    stackAddress: '192.168.200.2',
    hostAddress6: 'fcc8::1',
    stackAddress6: 'fcc8::2',
  },
  server: {
    hostAddress: '192.168.201.1',
    stackAddress: '192.168.201.2',
    hostAddress6: 'fcc9::1',
    stackAddress6: 'fcc9::2',
  },
} as const

export type Role = keyof typeof tunAddresses

/**
 * Options of client and server: those of a stack, except the ones that the tunnel sets itself, and the tunnel's own.
 * Without `tun` and `device` the tunnel makes a TUN interface with default addresses. It takes others when the machine
 * uses those already, and leaves IPv6 out when the kernel has it switched off.
 */
export interface TunnelOptions
  extends Omit<StackOptions, 'keepalive' | 'maxConnections' | 'stackAddress' | 'stackAddress6'>,
    Given<typeof serviceNumbers>,
    Given<typeof tunnelNumbers> {
  /**
   * Client: the tunnel's server. Server: the UDP service. 'host:port', '192.0.2.1:port' or '[2001:db8::1]:port'. A name
   * that does not resolve yet is no error: the tunnel keeps asking for it.
   */
  remote: string
  /** Give the TUN interface no IPv6 address. Default false. */
  ipv4Only?: boolean
  /** Path of a file. This end sends its bytes as the first datagram of every connection. */
  handshakePacket?: string
  /** How dead peers are noticed, see `StackOptions.keepalive`; null: no keepalive probes. Default `{}`. */
  keepalive?: KeepaliveOptions | null
  /**
   * Name or number of a user. Once the TUN interface exists, the whole process becomes this user and loses every
   * privilege for good.
   */
  user?: string
}

export interface ClientOptions extends TunnelOptions {
  /**
   * 'address:port' of the UDP socket. An address that the machine does not have yet is no error: the client waits for
   * it.
   */
  local: string
}

export interface ServerOptions extends TunnelOptions {
  /** TCP port on which the stack accepts connections. */
  local: number
}

export interface ResolvedRemote {
  readonly host: string
  readonly port: number
  /** undefined: `host` is a name. */
  readonly address: UdpAddress | undefined
}

/** `TunnelOptions`, validated and with defaults. The rest of the tunnel reads only this. */
export interface ResolvedTunnel {
  readonly role: Role
  /** `TunnelStatus.local`. */
  readonly localText: string
  readonly remote: ResolvedRemote
  /** For `Stack.open`, which also needs `maxConnections`: that follows from the flow limit. */
  readonly stack: StackOptions
  readonly queues: number
  readonly mtu: number
  /** Families of the stack's addresses, as requested. A TUN interface may still turn out to have no IPv6. */
  readonly families: readonly (4 | 6)[]
  readonly services: ServiceOptions
  /** undefined: as many as the machine has room for. */
  readonly maxFlows: number | undefined
  readonly handshakePacket: string | undefined
  readonly user: string | undefined
}

export interface ResolvedClient extends ResolvedTunnel {
  readonly local: UdpAddress
  readonly localPort: number
}

export interface ResolvedServer extends ResolvedTunnel {
  readonly port: number
}

/** Throws INVALID_ARGUMENT. */
export const resolveClient = (options: ClientOptions): ResolvedClient => {
  const { host, port: localPort } = parseEndpoint(options.local, '`local`')
  const local = parseUdpAddress(host, 'The address of `local`')
  const tunnel = resolveTunnel('client', options, options.local)
  if (tunnel.remote.address !== undefined) checkReachable(tunnel.remote.address, options.ipv4Only === true)
  return { ...tunnel, local, localPort }
}

/** Throws INVALID_ARGUMENT. */
export const resolveServer = (options: ServerOptions): ResolvedServer => {
  checkPort(options.local, '`local`')
  return { ...resolveTunnel('server', options, `port ${options.local}`), port: options.local }
}

const resolveTunnel = (role: Role, options: TunnelOptions, localText: string): ResolvedTunnel => {
  const { tun, device, ipv4Only = false, keepalive = {}, handshakePacket, user, ...others } = options
  const remote = parseEndpoint(options.remote, '`remote`')
  const address = literalAddress(remote.host, '`remote`')
  // `others` includes options of the tunnel; `Stack.open` ignores them.
  const stack: StackOptions = {
    ...others,
    ...(device === undefined ? { tun: tunOf(role, tun, ipv4Only) } : { device, ...(tun && { tun }) }),
    ...(keepalive !== null && { keepalive }),
  }
  const { tun: made } = resolveOptions(stack)
  const hasSix = device === undefined ? !ipv4Only : device.stackAddress6 !== undefined
  return {
    role,
    localText,
    remote: { ...remote, address },
    stack,
    queues: device?.queues.length ?? made!.adopted?.descriptors.length ?? made!.queues,
    mtu: device?.mtu ?? made!.mtu,
    families: hasSix ? [4, 6] : [4],
    services: resolveNumbers(serviceNumbers, options),
    ...resolveNumbers(tunnelNumbers, options),
    handshakePacket,
    user,
  }
}

/**
 * Completes `tun` with the default addresses. When a default address is taken the kernel gets another one; an address
 * that the user chose is used or fails.
 */
const tunOf = (role: Role, given: TunOptions = {}, ipv4Only: boolean): TunOptions => {
  const { hostAddress, stackAddress, hostAddress6, stackAddress6, ...others } = given
  const usual = tunAddresses[role]
  const isUsual = hostAddress === undefined && stackAddress === undefined
  const isUsual6 = hostAddress6 === undefined && stackAddress6 === undefined
  const four: TunOptions = {
    hostAddress: hostAddress ?? usual.hostAddress,
    stackAddress: stackAddress ?? usual.stackAddress,
    ifAddressesTaken: isUsual ? 'others' : 'error',
  }
  const six: TunOptions = {
    hostAddress6: hostAddress6 ?? usual.hostAddress6,
    stackAddress6: stackAddress6 ?? usual.stackAddress6,
    ifAddressesTaken6: isUsual6 ? 'others' : 'error',
    ifNoIPv6: isUsual6 ? 'ipv4' : 'error',
  }
  return { ...four, ...(!ipv4Only && six), ...others }
}
