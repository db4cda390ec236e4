import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { type Address, checkPort, endpoint, fromBytes, parseAddress } from '../engine/address.js'
import { defaults, type StackOptions, type TunOptions } from '../engine/options.js'
import { Stack } from '../engine/stack.js'
import { ErrorCode, FakeTcpError, invalid } from '../errors.js'
import { probeUdp, type UdpFeatures } from '../udp/features.js'
import { claimUdpPort } from '../udp/socket.js'
import { headersLength } from '../wire/sizes.js'
import { ClientDiagnosis, ServerDiagnosis } from './diagnosis.js'
import { type ClientData, idleMs, keepalive, type ServerData } from './options.js'
import { addressesOf } from './server-addresses.js'
import { becomeUser } from './user.js'

export interface Endpoint {
  readonly address: Address
  readonly port: number
}

export interface TunnelOptions {
  /** 'host:port', '192.0.2.1:port' or '[2001:db8::1]:port'. */
  remote: string
  tun?: Omit<TunOptions, 'hostAddress' | 'stackAddress' | 'hostAddress6' | 'stackAddress6'>
  hostAddress: string
  stackAddress: string
  /** IPv6 is not used without them. */
  hostAddress6?: string
  stackAddress6?: string
  ipv4Only?: boolean
  /** File whose bytes are the first datagram of every connection. */
  handshakePacket?: string
  /** Milliseconds without traffic after which a connection is closed. Default 180,000. */
  idleMs?: number
  /** Dead peers: see `StackOptions.keepalive`; null: never ask. Default 15 s, three times. */
  keepalive?: StackOptions['keepalive'] | null
  /** Become this user once the TUN interface is there: every privilege is gone then. */
  user?: string
  /** Microseconds that packets may wait for company, both ways. Default 0. */
  coalesceUs?: number
  logger?: StackOptions['logger']
}

export interface ClientOptions extends TunnelOptions {
  /** 'address:port' where UDP datagrams are taken. */
  local: string
}

export interface ServerOptions extends TunnelOptions {
  /** TCP port of the stack. */
  local: number
}

export interface Tunnel {
  readonly stack: Stack
  readonly remote: Endpoint
  readonly udp: UdpFeatures
}

/** UDP in, fake TCP out: one connection per UDP source. Closes with its stack. */
export const startClient = async (options: ClientOptions): Promise<Tunnel> => {
  const local = parseEndpoint(options.local, '--local')
  const localAddress = parseAddress(local.host, 'The address of --local')
  const families: readonly (4 | 6)[] = hasSix(options) ? [4, 6] : [4]
  const { host, port, addresses } = await resolve(options.remote, families)
  const remote = { address: fromBytes(addresses[0]), port }
  claimUdpPort({ bytes: localAddress.bytes, zone: '' }, local.port)
  return start(options, remote, undefined, 'client-service', {
    ...common(options, remote.address.family),
    remote: { host, port, addresses, families },
    local: { bytes: localAddress.bytes, zone: '' },
    localPort: local.port,
  } satisfies ClientData)
}

/** Fake TCP in, UDP out: one UDP source port per connection. Closes with its stack. */
export const startServer = async (options: ServerOptions): Promise<Tunnel> => {
  checkPort(options.local, '--local')
  const { port, addresses } = await resolve(options.remote, [4, 6])
  const remote = { address: fromBytes(addresses[0]), port }
  return start(options, remote, options.local, 'server-service', {
    ...common(options, 4),
    remote: { bytes: addresses[0], zone: '' },
    remotePort: port,
  } satisfies ServerData)
}

const hasSix = ({ ipv4Only, hostAddress6, stackAddress6 }: TunnelOptions): boolean =>
  ipv4Only !== true && hostAddress6 !== undefined && stackAddress6 !== undefined

const start = async (
  options: TunnelOptions,
  remote: Endpoint,
  port: number | undefined,
  service: string,
  workerData: ClientData | ServerData,
): Promise<Tunnel> => {
  const { hostAddress, stackAddress, hostAddress6, stackAddress6, coalesceUs = 0, logger } = options
  const stack = await Stack.open({
    tun: { ...options.tun, hostAddress, stackAddress, ...(hasSix(options) && { hostAddress6, stackAddress6 }) },
    coalesceUs,
    ...(options.keepalive !== null && { keepalive: options.keepalive ?? keepalive }),
    ...(logger && { logger }),
  })
  try {
    // What listens to the machine's interfaces is opened while that is allowed.
    if (logger !== undefined && port !== undefined) new ServerDiagnosis(stack, logger, port)
    if (logger !== undefined && port === undefined) new ClientDiagnosis(stack, logger, remote.port)
    if (options.user !== undefined) becomeUser(options.user)
    await stack.serve(port, new URL(`./${service}.js`, import.meta.url), { workerData })
    return { stack, remote, udp: workerData.udp }
  } catch (error) {
    await stack.close()
    throw error
  }
}

/** `family`: that of the connections, as far as it is known. */
const common = (options: TunnelOptions, family: 4 | 6) => ({
  idleMs: options.idleMs ?? idleMs,
  udp: probeUdp(),
  ...(options.handshakePacket !== undefined && {
    handshakePacket: readHandshake(options.handshakePacket, (options.tun?.mtu ?? defaults.mtu) - headersLength(family)),
  }),
})

const readHandshake = (path: string, most: number): Uint8Array => {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new FakeTcpError(ErrorCode.INVALID_ARGUMENT, `The handshake packet ${path} cannot be read (${code}).`, {
      cause,
    })
  }
  if (bytes.length === 0)
    throw invalid(`The handshake packet ${path} is empty: a connection cannot carry an empty datagram.`)
  if (bytes.length > most)
    throw invalid(`The handshake packet ${path} has ${bytes.length} bytes: one datagram has at most ${most}.`)
  return new Uint8Array(bytes)
}

/** Splits 'host:port' and '[v6]:port'. */
export const parseEndpoint = (text: string, what: string): { host: string; port: number } => {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/u.exec(text)
  const host = match?.[1] ?? match?.[2]
  if (match === null || host === undefined) {
    throw invalid(
      `${what} must look like 192.0.2.1:4567, [2001:db8::1]:4567 or name:4567, not ${JSON.stringify(text)}.`,
    )
  }
  const port = Number(match[3])
  checkPort(port, `The port of ${what}`)
  return { host, port }
}

/** Splits '--remote' and finds its addresses of these families. Throws INVALID_ARGUMENT or RESOLVE. */
const resolve = async (text: string, families: readonly (4 | 6)[]) => {
  const { host, port } = parseEndpoint(text, '--remote')
  const wanted = families.length === 1 ? ' to an IPv4 address' : ''
  let addresses: Uint8Array[]
  try {
    addresses = await addressesOf(host, families)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new FakeTcpError(ErrorCode.RESOLVE, `The name ${host} of --remote does not resolve${wanted} (${code}).`, {
      cause,
    })
  }
  if (addresses.length > 0) return { host, port, addresses }
  if (isIP(host) !== 0) throw invalid('--remote is an IPv6 address, and --ipv4-only leaves no way to it.')
  throw new FakeTcpError(ErrorCode.RESOLVE, `The name ${host} of --remote does not resolve${wanted}.`)
}

export const describe = ({ address, port }: Endpoint): string => endpoint(address.text, port)
