/** What the tunnel's services are told; plain data, since it is posted to the workers. */
interface TunnelData {
  /** UDP's far end for the server, fake TCP's for the client: 4 or 16 bytes. */
  readonly remote: Uint8Array
  readonly remotePort: number
  /** First datagram of every connection, before any other. */
  readonly handshakePacket?: Uint8Array
  /** A connection without traffic is closed after this time. */
  readonly idleMs: number
}

export interface ClientData extends TunnelData {
  /** Where UDP datagrams are taken from. */
  readonly local: Uint8Array
  readonly localPort: number
}

export interface ServerData extends TunnelData {}

/** As phantun: 180 s. */
export const idleMs = 180_000
/** How often idle connections are looked for. */
export const idleCheckMs = 1_000
/** Socket buffers, both ways: some ten milliseconds of traffic at full rate. */
export const udpBufferBytes = 8 * 1024 * 1024
