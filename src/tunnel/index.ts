/** The tunnel for programs, as `fake-tcp/tunnel`: UDP carried through what looks like TCP connections. */
import { udpErrorCode } from '../udp/socket.js'

export type { KeepaliveOptions } from '../engine/options.js'
export type { TunOptions } from '../engine/tun-options.js'
export type { UdpFeatures } from '../udp/features.js'
export type { ClientOptions, ServerOptions, TunnelOptions } from './options.js'
export { startClient, startServer, type Tunnel, type TunnelStatus } from './tunnel.js'

/** Codes of the tunnel's errors, besides those of the library (`ErrorCode`). */
export const TunnelErrorCode = {
  /** A UDP socket could not be opened. */
  UDP: udpErrorCode,
} as const
