/** The library, as `fake-tcp`: everything that the package exports, but the tunnel (`fake-tcp/tunnel`). */
export type {
  ConnectionClosed,
  ConnectionEnds,
  ConnectionOpened,
  ConnectionRefused,
  DeviceLost,
  DiagnosticsChannel,
  DiagnosticsPayloads,
  FloodBegun,
  FloodEnded,
  PathMtuLowered,
  PeerDead,
  WorkerReplaced,
} from './engine/diagnostics.js'
export { Listener } from './engine/listener.js'
export type { ConnectOptions, KeepaliveOptions, ListenOptions, StackOptions } from './engine/options.js'
export { Stack, type StackStats, type WorkerStats } from './engine/stack.js'
export type { TunOptions } from './engine/tun-options.js'
export { createVirtualLink, type VirtualLinkOptions } from './engine/virtual-link.js'
export { ErrorCode, FakeTcpError } from './errors.js'
export type { EventLog } from './log/events.js'
export type { Batch } from './memory/batch.js'
export type { CounterKind, CounterRow, CounterUnit, DropCounter, TrafficCounter } from './memory/counter-table.js'
export type { Device } from './net/device.js'
export type { DeviceFeatures, Feature } from './net/features.js'
export type { CloseReason } from './path/messages.js'
export type { DatagramBatch } from './sockets/receive-queue.js'
export { type Closed, Socket, type SocketStats } from './sockets/socket.js'
export type { SocketHandle } from './sockets/transfer-messages.js'
export type { ReadHandler, Service, ServiceContext, ServiceFactory, ServiceFlow } from './workers/service.js'
