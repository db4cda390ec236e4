/**
 * The tunnel's API for programs (`fake-tcp/tunnel`): it carries UDP datagrams through what looks like TCP connections.
 */
import { udpErrorCode } from '../udp/socket.js'

export type { KeepaliveOptions } from '../engine/options.js'
export type { TunOptions } from '../engine/tun-options.js'
export type { UdpFeatures } from '../udp/features.js'
export type { ClientOptions, ServerOptions, TunnelOptions } from './options.js'
export { startClient, startServer, type Tunnel, type TunnelStatus } from './tunnel.js'

/** `FakeTcpError.code` values that only the tunnel throws. It throws those of `ErrorCode` too. */
export const TunnelErrorCode = {
  /** The kernel refused to open, bind or connect a UDP socket. */
  UDP: udpErrorCode,
} as const
