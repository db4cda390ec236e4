/// <reference lib="esnext.disposable" preserve="true" />
import { Stack, type StackStats } from '../engine/stack.js'
import { ErrorCode, FakeTcpError } from '../errors.js'
import { probeUdp, type UdpFeatures } from '../udp/features.js'
import { claimUdpPort, familyOf } from '../udp/socket.js'
import { headersLength } from '../wire/sizes.js'
import { readHandshake } from './arguments.js'
import { tunnelCounters } from './counters.js'
import { ClientDiagnosis, ServerDiagnosis } from './diagnosis.js'
import { mayCome } from './entrance.js'
import { FlowSet } from './flow-set.js'
import { isLoopback } from './leg-socket.js'
import { clientFlowLimit, type FlowLimit, serverFlowLimit } from './limits.js'
import {
  type ClientOptions,
  type ResolvedTunnel,
  type Role,
  resolveClient,
  resolveServer,
  type ServerOptions,
  type TunnelOptions,
} from './options.js'
import { planPorts } from './port-plan.js'
import { findRemote, type Remote } from './remote.js'
import type { ClientData, ServerData } from './service-data.js'
import { becomeUser } from './user.js'

/** State and counters of a running tunnel, as plain data that can be posted or serialised. */
export interface TunnelStatus {
  readonly role: Role
  /** Client: UDP address and port of its socket. Server: 'port N', its TCP port. */
  readonly local: string
  /** Where `remote` leads now: 'address:port', or 'name:port (addresses)' for a name. */
  readonly remote: string
  /** Seconds since the tunnel was ready. */
  readonly uptime: number
  /** Which UDP offloads the kernel supports. */
  readonly udp: UdpFeatures
  /** Counters, workers and device of the tunnel's stack. */
  readonly stats: StackStats
}

/** A running client or server. It keeps the process alive until it is closed. */
export class Tunnel implements AsyncDisposable {
  /** Resolves once the tunnel is closed, by `close` or because its device is gone. Never rejects. */
  readonly closed: Promise<void>
  readonly #stack: Stack
  readonly #describe: () => Omit<TunnelStatus, 'uptime' | 'stats'>
  readonly #startedAt = performance.now()

  /** @internal */
  constructor(stack: Stack, describe: () => Omit<TunnelStatus, 'uptime' | 'stats'>) {
    this.#stack = stack
    this.#describe = describe
    this.closed = stack.closed
  }

  /** State and counters as of now; also after `close`. */
  status(): TunnelStatus {
    const uptime = (performance.now() - this.#startedAt) / 1_000
    return { ...this.#describe(), uptime, stats: this.#stack.stats() }
  }

  /** Ends every connection with RST, stops the workers and removes the device. Idempotent. */
  close(): Promise<void> {
    return this.#stack.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/**
 * Starts a client: UDP in, fake TCP out, one connection per UDP source. Rejects with FakeTcpError; everything that was
 * opened is closed by then, `options.device` included.
 */
export const startClient = (options: ClientOptions): Promise<Tunnel> =>
  closingDevice(options, async () => {
    const resolved = resolveClient(options)
    const { local, localPort, localText, families, services } = resolved
    const { logger } = resolved.stack
    try {
      claimUdpPort(local, localPort)
    } catch (error) {
      if (!mayCome(error)) throw error
      logger?.warn(
        { event: 'entrance-waiting', local: localText },
        `${(error as Error).message} The client waits for it.`,
      )
    }
    const limit = clientFlowLimit(resolved.maxFlows)
    const remote = await findRemote(resolved.remote, families, logger)
    return start(resolved, remote, limit, {
      url: new URL('./client-service.js', import.meta.url),
      port: undefined,
      data: () => {
        const [first] = remote.data.addresses
        const family = first === undefined ? 4 : familyOf(first)
        return { ...services, ...common(resolved, limit, family), remote: remote.data, local, localPort }
      },
    })
  })

/**
 * Starts a server: fake TCP in, UDP out, one UDP source port per connection. Rejects with FakeTcpError; everything that
 * was opened is closed by then, `options.device` included.
 */
export const startServer = (options: ServerOptions): Promise<Tunnel> =>
  closingDevice(options, async () => {
    const resolved = resolveServer(options)
    const { queues, services } = resolved
    const remote = await findRemote(resolved.remote, [4, 6], resolved.stack.logger)
    const ports = planPorts()
    const [first] = remote.data.addresses
    const limit = serverFlowLimit(resolved.maxFlows, {
      queues,
      ports,
      isLoopback: first !== undefined && familyOf(first) === 4 && isLoopback(first),
    })
    return start(resolved, remote, limit, {
      url: new URL('./server-service.js', import.meta.url),
      port: resolved.port,
      data: () => ({ ...services, ...common(resolved, limit, 4), remote: remote.data, ports }),
    })
  })

/** Closes the caller's device when the start fails: the tunnel owns it from the call on. */
const closingDevice = async ({ device }: TunnelOptions, begin: () => Promise<Tunnel>): Promise<Tunnel> => {
  try {
    return await begin()
  } catch (error) {
    device?.close()
    throw error
  }
}

interface ServiceModule {
  readonly url: URL
  /** TCP port whose connections the service accepts; undefined: it accepts none. */
  readonly port: number | undefined
  /** Makes the service's `workerData`. Throws FakeTcpError. */
  data(): ClientData | ServerData
}

const start = async (
  tunnel: ResolvedTunnel,
  remote: Remote,
  limit: FlowLimit,
  service: ServiceModule,
): Promise<Tunnel> => {
  const { role, localText: local } = tunnel
  let stack: Stack | undefined
  try {
    const data = service.data()
    // Connections whose handshake is under way take slots too, and the slot of a closed one rests before its next use.
    const maxConnections = limit.maxFlows + Math.ceil(limit.maxFlows / 8) + 1_024
    stack = await Stack.open({ ...tunnel.stack, maxConnections })
    checkHasFamily(stack, tunnel)
    // Before `becomeUser`: the diagnosis opens packet sockets, which need CAP_NET_RAW.
    diagnose(stack, tunnel, remote, service.port)
    if (tunnel.user !== undefined) becomeUser(tunnel.user)
    await stack.serve(service.port, service.url, { workerData: data, counters: tunnelCounters })
    sayLimit(tunnel, limit)
    void stack.closed.then(() => remote.close())
    return new Tunnel(stack, () => ({ role, local, remote: remote.describe(), udp: data.udp }))
  } catch (error) {
    remote.close()
    await stack?.close()
    throw error
  }
}

/** Throws NO_IPV6 when a client's stack has no IPv6 address and `remote` is an IPv6 address. */
const checkHasFamily = ({ address6 }: Stack, { role, remote, stack }: ResolvedTunnel): void => {
  if (role !== 'client' || remote.address?.bytes.length !== 16 || address6 !== undefined) return
  throw new FakeTcpError(
    ErrorCode.NO_IPV6,
    stack.device === undefined
      ? 'IPv6 is switched off on this machine, and `remote` is an IPv6 address: switch it on, or give an IPv4 address.'
      : '`remote` is an IPv6 address, and `device` has none: give an IPv4 address.',
  )
}

/** Starts the diagnosis that logs why no connection comes about. It needs a logger, and a TUN interface to look at. */
const diagnose = (stack: Stack, { stack: { device, logger } }: ResolvedTunnel, remote: Remote, port?: number): void => {
  if (logger === undefined || device !== undefined) return
  if (port === undefined) new ClientDiagnosis(stack, logger, remote.data.port, remote.addresses)
  else new ServerDiagnosis(stack, logger, port)
}

const sayLimit = ({ maxFlows: wanted, stack: { logger } }: ResolvedTunnel, { maxFlows, because }: FlowLimit): void => {
  if (because === undefined) return
  const text = `At most ${maxFlows} flows at once, since ${because}.`
  if (wanted === undefined) logger?.info({ event: 'flow-limit', maxFlows }, text)
  else logger?.warn({ event: 'flow-limit', maxFlows, wanted }, text)
}

/**
 * The part of `workerData` that both services get. `family` decides how long the handshake packet may be; while the
 * client's `remote` is unresolved it is 4.
 */
const common = ({ handshakePacket, mtu, queues }: ResolvedTunnel, { maxFlows }: FlowLimit, family: 4 | 6) => ({
  udp: probeUdp(),
  maxFlows,
  flowCounts: FlowSet.share(queues),
  ...(handshakePacket !== undefined && {
    handshakePacket: readHandshake(handshakePacket, mtu - headersLength(family)),
  }),
})
