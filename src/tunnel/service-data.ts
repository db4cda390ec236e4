import type { UdpFeatures } from '../udp/features.js'
import type { UdpAddress } from '../udp/socket.js'
import type { ServiceOptions } from './options.js'
import type { PortPlan } from './port-plan.js'

/** What the tunnel's services are told; plain data, since it is posted to the workers. */
interface TunnelData extends ServiceOptions {
  readonly remote: RemoteData
  /** First datagram of every connection, before any other. */
  readonly handshakePacket?: Uint8Array
  /** What the kernel can do with many UDP datagrams at once. */
  readonly udp: UdpFeatures
  /** Most flows of all workers together. */
  readonly maxFlows: number
  /** Where they count them (`FlowSet.share`). */
  readonly flowCounts: SharedArrayBuffer
}

/** Where a tunnel's datagrams go. */
export interface RemoteData {
  readonly port: number
  /** What is known at the start; empty while the name does not resolve. */
  readonly addresses: readonly UdpAddress[]
  /** Channel of the `NameKeeper`; absent when `remote` is an address. */
  readonly channel?: string
}

export interface ClientData extends TunnelData {
  /** Where UDP datagrams are taken from. */
  readonly local: UdpAddress
  readonly localPort: number
}

export interface ServerData extends TunnelData {
  /** Source ports of its UDP sockets. */
  readonly ports: PortPlan
}

/** How often flows are looked through: for idle ones, and for what has become of the others. */
export const sweepMs = 1_000
