import { defaults, type StackOptions, type TunOptions } from '../engine/options.js'
import { Stack } from '../engine/stack.js'
import { ErrorCode, FakeTcpError } from '../errors.js'
import { checkPort, fromBytes } from '../net/address.js'
import { probeUdp, type UdpFeatures } from '../udp/features.js'
import { claimUdpPort, describeUdp, familyOf } from '../udp/socket.js'
import { headersLength } from '../wire/sizes.js'
import { checkReachable, literalAddress, parseEndpoint, parseUdpAddress, readHandshake } from './arguments.js'
import { tunnelCounters } from './counters.js'
import { ClientDiagnosis, ServerDiagnosis } from './diagnosis.js'
import { mayCome } from './entrance.js'
import { FlowSet } from './flow-set.js'
import { isLoopback } from './leg-socket.js'
import { clientFlowLimit, type FlowLimit, serverFlowLimit } from './limits.js'
import { NameKeeper } from './name-keeper.js'
import { type ClientData, idleMs, keepalive, type RemoteData, type ServerData } from './options.js'
import { planPorts } from './port-plan.js'
import { becomeUser } from './user.js'

export interface TunnelOptions {
  /** 'host:port', '192.0.2.1:port' or '[2001:db8::1]:port'. A name may resolve later. */
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
  /** Most flows at once. Default: what the machine has room for, at most 32,768. */
  maxFlows?: number
  /** Dead peers: see `StackOptions.keepalive`; null: never ask. Default 15 s, three times. */
  keepalive?: StackOptions['keepalive'] | null
  /** Become this user once the TUN interface is there: every privilege is gone then. */
  user?: string
  /** Microseconds that packets may wait for company, both ways. Default 0. */
  coalesceUs?: number
  logger?: StackOptions['logger']
}

export interface ClientOptions extends TunnelOptions {
  /** 'address:port' where UDP datagrams are taken. The address may come later. */
  local: string
}

export interface ServerOptions extends TunnelOptions {
  /** TCP port of the stack. */
  local: number
}

export interface Tunnel {
  readonly stack: Stack
  /** What `--remote` stands for now, for people. */
  readonly remote: string
  readonly udp: UdpFeatures
}

/** UDP in, fake TCP out: one connection per UDP source. Closes with its stack. */
export const startClient = async (options: ClientOptions): Promise<Tunnel> => {
  const { host, port: localPort } = parseEndpoint(options.local, '--local')
  const local = parseUdpAddress(host, 'The address of --local')
  const families: readonly (4 | 6)[] = hasSix(options) ? [4, 6] : [4]
  const literal = literalRemote(options)
  if (literal !== undefined) checkReachable(literal, families)
  try {
    claimUdpPort(local, localPort)
  } catch (error) {
    if (!mayCome(error)) throw error
    options.logger?.warn({ local: options.local }, `${(error as Error).message} The client waits for it.`)
  }
  const limit = clientFlowLimit(options.maxFlows)
  const remote = await findRemote(options, families)
  const [first] = remote.data.addresses
  const family = first === undefined ? 4 : familyOf(first)
  return start(options, remote, limit, {
    module: 'client-service',
    port: undefined,
    reaches: literal && familyOf(literal),
    data: () => ({ ...common(options, limit, family), remote: remote.data, local, localPort }),
  })
}

/** Fake TCP in, UDP out: one UDP source port per connection. Closes with its stack. */
export const startServer = async (options: ServerOptions): Promise<Tunnel> => {
  checkPort(options.local, '--local')
  const remote = await findRemote(options, [4, 6])
  const ports = planPorts()
  const [first] = remote.data.addresses
  const limit = serverFlowLimit(options.maxFlows, {
    queues: queuesOf(options),
    ports,
    isLoopback: first !== undefined && familyOf(first) === 4 && isLoopback(first),
  })
  return start(options, remote, limit, {
    module: 'server-service',
    port: options.local,
    reaches: undefined,
    data: () => ({ ...common(options, limit, 4), remote: remote.data, ports }),
  })
}

const hasSix = ({ ipv4Only, hostAddress6, stackAddress6 }: TunnelOptions): boolean =>
  ipv4Only !== true && hostAddress6 !== undefined && stackAddress6 !== undefined

const queuesOf = ({ tun }: TunnelOptions): number => tun?.descriptors?.length ?? tun?.queues ?? defaults.queues

interface Remote {
  readonly data: RemoteData
  /** As they are known now. */
  addresses(): readonly Uint8Array[]
  describe(): string
  close(): void
}

const literalRemote = ({ remote }: TunnelOptions) => literalAddress(parseEndpoint(remote, '--remote').host, '--remote')

/** What `--remote` stands for. A name that does not resolve is waited for. Throws INVALID_ARGUMENT. */
const findRemote = async (options: TunnelOptions, families: readonly (4 | 6)[]): Promise<Remote> => {
  const { host, port } = parseEndpoint(options.remote, '--remote')
  const literal = literalRemote(options)
  if (literal !== undefined) {
    const addresses = [literal]
    return {
      data: { port, addresses },
      addresses: () => addresses.map(({ bytes }) => bytes),
      describe: () => describeUdp(literal, port),
      close: () => {},
    }
  }
  const { logger } = options
  const name = await NameKeeper.open({ host, families, ...(logger && { logger }) })
  const describe = (): string => {
    const addresses = name.addresses.map(({ bytes }) => fromBytes(bytes).text).join(', ')
    return `${host}:${port} (${addresses === '' ? 'not resolved yet' : addresses})`
  }
  return {
    data: { port, addresses: name.addresses, channel: name.channel },
    addresses: () => name.addresses.map(({ bytes }) => bytes),
    describe,
    close: () => name.close(),
  }
}

interface ServiceModule {
  readonly module: 'client-service' | 'server-service'
  /** TCP port whose connections it gets. */
  readonly port: number | undefined
  /** Family that its connections need, where that is known. */
  readonly reaches: 4 | 6 | undefined
  /** May throw. */
  data(): ClientData | ServerData
}

const start = async (
  options: TunnelOptions,
  remote: Remote,
  limit: FlowLimit,
  service: ServiceModule,
): Promise<Tunnel> => {
  const { hostAddress, stackAddress, hostAddress6, stackAddress6, coalesceUs = 0, logger } = options
  let stack: Stack | undefined
  try {
    const data = service.data()
    stack = await Stack.open({
      tun: { ...options.tun, hostAddress, stackAddress, ...(hasSix(options) && { hostAddress6, stackAddress6 }) },
      coalesceUs,
      // Connections that begin or have just ended need a place too.
      maxConnections: limit.maxFlows + Math.ceil(limit.maxFlows / 8) + 1_024,
      ...(options.keepalive !== null && { keepalive: options.keepalive ?? keepalive }),
      ...(logger && { logger }),
    })
    checkHasFamily(stack, service.reaches)
    // What listens to the machine's interfaces is opened while that is allowed.
    if (logger !== undefined && service.port !== undefined) new ServerDiagnosis(stack, logger, service.port)
    if (logger !== undefined && service.port === undefined) {
      new ClientDiagnosis(stack, logger, remote.data.port, remote.addresses)
    }
    if (options.user !== undefined) becomeUser(options.user)
    const url = new URL(`./${service.module}.js`, import.meta.url)
    await stack.serve(service.port, url, { workerData: data, counters: tunnelCounters })
    sayLimit(options, limit)
    return running(stack, remote, data.udp)
  } catch (error) {
    remote.close()
    await stack?.close()
    throw error
  }
}

const running = (stack: Stack, remote: Remote, udp: UdpFeatures): Tunnel => {
  void stack.closed.then(() => remote.close())
  return {
    stack,
    get remote() {
      return remote.describe()
    },
    udp,
  }
}

/** Throws NO_IPV6 when the machine has no IPv6 and the server is nowhere else. */
const checkHasFamily = ({ address6 }: Stack, family: 4 | 6 | undefined): void => {
  if (family !== 6 || address6 !== undefined) return
  throw new FakeTcpError(
    ErrorCode.NO_IPV6,
    'IPv6 is switched off on this machine, and --remote is an IPv6 address: switch it on, or give an IPv4 address.',
  )
}

const sayLimit = ({ maxFlows: wanted, logger }: TunnelOptions, { maxFlows, because }: FlowLimit): void => {
  if (because === undefined) return
  const text = `At most ${maxFlows} flows at once, since ${because}.`
  if (wanted === undefined) logger?.info({ maxFlows }, text)
  else logger?.warn({ maxFlows, wanted }, text)
}

/** `family`: that of the connections, as far as it is known. */
const common = (options: TunnelOptions, { maxFlows }: FlowLimit, family: 4 | 6) => ({
  idleMs: options.idleMs ?? idleMs,
  udp: probeUdp(),
  maxFlows,
  flowCounts: FlowSet.share(queuesOf(options)),
  ...(options.handshakePacket !== undefined && {
    handshakePacket: readHandshake(options.handshakePacket, (options.tun?.mtu ?? defaults.mtu) - headersLength(family)),
  }),
})
