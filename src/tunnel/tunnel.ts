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

/** What a running tunnel tells about itself: plain data. */
export interface TunnelStatus {
  readonly role: Role
  /** Where datagrams or connections come in. */
  readonly local: string
  /** What `remote` stands for now. */
  readonly remote: string
  /** Seconds since it was ready. */
  readonly uptime: number
  /** What the kernel can do with many UDP datagrams at once. */
  readonly udp: UdpFeatures
  /** Of its stack. */
  readonly stats: StackStats
}

/** A running client or server. An open one keeps the process alive. */
export class Tunnel implements AsyncDisposable {
  /** Settles once the tunnel is closed, by `close` or because its device is gone. Never rejects. */
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

/** UDP in, fake TCP out: one connection per UDP source. Rejects with FakeTcpError; nothing is left behind then. */
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

/** Fake TCP in, UDP out: one UDP source port per connection. Rejects with FakeTcpError; nothing is left behind then. */
export const startServer = (options: ServerOptions): Promise<Tunnel> =>
  closingDevice(options, async () => {
    const resolved = resolveServer(options)
    const { queues, services } = resolved
    const remote = await findRemote(resolved.remote, [4, 6], resolved.stack.logger)
    const ports = planPorts()
    const [first] = remote.data.addresses
    const limit = serverFlowLimit(resolved.maxFlows, {
      ...{ queues, ports },
      isLoopback: first !== undefined && familyOf(first) === 4 && isLoopback(first),
    })
    return start(resolved, remote, limit, {
      url: new URL('./server-service.js', import.meta.url),
      port: resolved.port,
      data: () => ({ ...services, ...common(resolved, limit, 4), remote: remote.data, ports }),
    })
  })

/** A device that was handed over is closed, whatever fails. */
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
  /** TCP port whose connections it gets. */
  readonly port: number | undefined
  /** What it is told. May throw. */
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
    // Connections that begin or have just ended need a place too.
    const maxConnections = limit.maxFlows + Math.ceil(limit.maxFlows / 8) + 1_024
    stack = await Stack.open({ ...tunnel.stack, maxConnections })
    checkHasFamily(stack, tunnel)
    // What listens to the machine's interfaces is opened while that is allowed.
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

/** Throws NO_IPV6 when a client has no IPv6 and its server is nowhere else. */
const checkHasFamily = ({ address6 }: Stack, { role, remote, stack }: ResolvedTunnel): void => {
  if (role !== 'client' || remote.address?.bytes.length !== 16 || address6 !== undefined) return
  throw new FakeTcpError(
    ErrorCode.NO_IPV6,
    stack.device === undefined
      ? 'IPv6 is switched off on this machine, and `remote` is an IPv6 address: switch it on, or give an IPv4 address.'
      : '`remote` is an IPv6 address, and `device` has none: give an IPv4 address.',
  )
}

/** Looks why nothing happens on a TUN interface, when there is somebody to tell. */
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

/** What both services are told. `family`: that of the connections, as far as it is known. */
const common = ({ handshakePacket, mtu, queues }: ResolvedTunnel, { maxFlows }: FlowLimit, family: 4 | 6) => ({
  udp: probeUdp(),
  maxFlows,
  flowCounts: FlowSet.share(queues),
  ...(handshakePacket !== undefined && {
    handshakePacket: readHandshake(handshakePacket, mtu - headersLength(family)),
  }),
})
