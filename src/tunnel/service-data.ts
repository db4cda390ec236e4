import type { UdpFeatures } from '../udp/features.js'
import type { UdpAddress } from '../udp/socket.js'
import type { ServiceOptions } from './options.js'
import type { PortPlan } from './port-plan.js'

/** `workerData` of both services of the tunnel: plain data, since it is posted to the workers. */
interface TunnelData extends ServiceOptions {
  readonly remote: RemoteData
  /** Content of the `handshakePacket` file. */
  readonly handshakePacket?: Uint8Array
  /** Which UDP offloads the kernel supports. */
  readonly udp: UdpFeatures
  /** Maximum number of flows of all workers together. */
  readonly maxFlows: number
  /** Memory in which the workers count their flows (`FlowSet.share`). */
  readonly flowCounts: SharedArrayBuffer
}

/** `remote` for the workers: the tunnel's server, or the UDP service. */
export interface RemoteData {
  readonly port: number
  /** Addresses at the start of the tunnel; empty when the name did not resolve. */
  readonly addresses: readonly UdpAddress[]
  /** Name of the `NameKeeper`'s BroadcastChannel; absent when `remote` is an address. */
  readonly channel?: string
}

export interface ClientData extends TunnelData {
  /** Address of the client's UDP socket. */
  readonly local: UdpAddress
  readonly localPort: number
}

export interface ServerData extends TunnelData {
  /** Source ports for the server's UDP sockets. */
  readonly ports: PortPlan
}

/** Milliseconds between two sweeps of a worker's flows (`FlowSet.sweep`). */
export const sweepMs = 1_000
