import type { UdpFeatures } from '../udp/features.js'
import type { UdpAddress } from '../udp/socket.js'

/** What the tunnel's services are told; plain data, since it is posted to the workers. */
interface TunnelData {
  /** First datagram of every connection, before any other. */
  readonly handshakePacket?: Uint8Array
  /** A connection without traffic is closed after this time. */
  readonly idleMs: number
  /** What the kernel can do with many UDP datagrams at once. */
  readonly udp: UdpFeatures
}

/** The tunnel's server, as the client was told. */
export interface RemoteData {
  /** A name, or an address. */
  readonly host: string
  /** What it stood for at the start, 4 or 16 bytes each. */
  readonly addresses: readonly Uint8Array[]
  readonly port: number
  /** Families that the stack has addresses of. */
  readonly families: readonly (4 | 6)[]
}

export interface ClientData extends TunnelData {
  readonly remote: RemoteData
  /** Where UDP datagrams are taken from. */
  readonly local: UdpAddress
  readonly localPort: number
}

export interface ServerData extends TunnelData {
  /** UDP's far end. */
  readonly remote: UdpAddress
  readonly remotePort: number
}

/** As phantun: 180 s. */
export const idleMs = 180_000
/** A peer that is gone is noticed within a minute. */
export const keepalive = { interval: 15_000, probes: 3 }
/** How often idle connections are looked for. */
export const idleCheckMs = 1_000
