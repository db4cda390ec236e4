import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { type Address, checkPort, endpoint, parseAddress } from '../engine/address.js'
import { defaults, type StackOptions, type TunOptions } from '../engine/options.js'
import { Stack } from '../engine/stack.js'
import { ErrorCode, FakeTcpError, invalid } from '../errors.js'
import { type ClientData, idleMs, type ServerData } from './options.js'
import { claimUdpPort } from './udp-socket.js'

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
}

/** UDP in, fake TCP out: one connection per UDP source. Closes with its stack. */
export const startClient = async (options: ClientOptions): Promise<Tunnel> => {
  const local = parseEndpoint(options.local, '--local')
  const localAddress = parseAddress(local.host, 'The address of --local')
  const remote = await resolve(options.remote, options.ipv4Only === true)
  claimUdpPort(localAddress.bytes, local.port)
  return start(options, remote, undefined, 'client-service', {
    ...common(options, remote, remote.address.family),
    local: localAddress.bytes,
    localPort: local.port,
  } satisfies ClientData)
}

/** Fake TCP in, UDP out: one UDP source port per connection. Closes with its stack. */
export const startServer = async (options: ServerOptions): Promise<Tunnel> => {
  checkPort(options.local, '--local')
  const remote = await resolve(options.remote, false)
  return start(options, remote, options.local, 'server-service', common(options, remote, 4) satisfies ServerData)
}

const start = async (
  options: TunnelOptions,
  remote: Endpoint,
  port: number | undefined,
  service: string,
  workerData: ClientData | ServerData,
): Promise<Tunnel> => {
  const { hostAddress, stackAddress, hostAddress6, stackAddress6, coalesceUs = 0, logger } = options
  const six = options.ipv4Only !== true && hostAddress6 !== undefined && stackAddress6 !== undefined
  const stack = await Stack.open({
    tun: { ...options.tun, hostAddress, stackAddress, ...(six && { hostAddress6, stackAddress6 }) },
    coalesceUs,
    ...(logger && { logger }),
  })
  try {
    await stack.serve(port, new URL(`./${service}.js`, import.meta.url), { workerData })
    return { stack, remote }
  } catch (error) {
    await stack.close()
    throw error
  }
}

/** `family`: that of the connections, as far as it is known. */
const common = (options: TunnelOptions, remote: Endpoint, family: 4 | 6): ServerData => ({
  remote: remote.address.bytes,
  remotePort: remote.port,
  idleMs: options.idleMs ?? idleMs,
  ...(options.handshakePacket !== undefined && {
    handshakePacket: readHandshake(options.handshakePacket, (options.tun?.mtu ?? defaults.mtu) - headers[family]),
  }),
})

/** Bytes of the IP header and TCP's. */
const headers = { 4: 40, 6: 60 } as const

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

const resolve = async (text: string, ipv4Only: boolean): Promise<Endpoint> => {
  const { host, port } = parseEndpoint(text, '--remote')
  let found: { address: string }
  try {
    found = await lookup(host, { verbatim: true, ...(ipv4Only && { family: 4 }) })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const wanted = ipv4Only ? ' to an IPv4 address' : ''
    throw new FakeTcpError(ErrorCode.RESOLVE, `The name ${host} of --remote does not resolve${wanted} (${code}).`, {
      cause,
    })
  }
  const address = parseAddress(found.address, 'The address of --remote')
  // A literal address comes back as it is, whatever family was asked for.
  if (ipv4Only && address.family !== 4)
    throw invalid(`--remote is an IPv6 address, and --ipv4-only leaves no way to it.`)
  return { address, port }
}

export const describe = ({ address, port }: Endpoint): string => endpoint(address.text, port)
