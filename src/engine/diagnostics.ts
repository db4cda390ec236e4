/**
 * What a stack tells on channels of node:diagnostics_channel, by name: `subscribe('fake-tcp:connection:opened',
 * listener)`. All of it is published in the thread that opened the stack, about all stacks of that thread. Without a
 * subscriber nothing is made and nothing costs; with one, each connection costs a few objects at its begin and at its
 * end, and datagrams cost nothing.
 *
 * A listener is called at the moment the thing happens. What it throws ends the process.
 */
import { channel } from 'node:diagnostics_channel'
import type { CloseReason } from '../path/messages.js'

/** Both ends of a connection. */
export interface ConnectionEnds {
  /** Name of the stack's device, as `Stack.device`. */
  readonly device: string
  /** The stack's address and port. */
  readonly localAddress: string
  readonly localPort: number
  /** The peer's address and port. */
  readonly remoteAddress: string
  readonly remotePort: number
}

/** 'in': the peer asked for the connection; 'out': this stack did. */
export type Direction = 'in' | 'out'

export interface ConnectionOpened extends ConnectionEnds {
  readonly direction: Direction
  /** Bytes of the largest datagram that it carries. */
  readonly maxDatagram: number
  /** Whether a service in a queue worker uses it, instead of a socket. */
  readonly service: boolean
}

export interface ConnectionClosed extends ConnectionEnds {
  /** As `Socket.closed` has it. */
  readonly reason: CloseReason
  /** Datagrams, and bytes of datagrams, that the connection carried. */
  readonly datagramsIn: number
  readonly bytesIn: number
  readonly datagramsOut: number
  readonly bytesOut: number
}

export interface ConnectionRefused extends ConnectionEnds {
  readonly direction: Direction
  /**
   * In: 'not-listening' (the listener was closed during the handshake), 'quarantined' (the same addresses and ports
   * were a connection two seconds ago), 'backlog-full' (nobody accepts them fast enough), 'table-full' (as many
   * connections as `maxConnections`). Out: 'refused' (the peer sent RST), 'timeout' (it sent nothing), 'aborted' (by
   * the caller's signal, or another address answered first), 'stack' (the stack was closed).
   */
  readonly reason:
    | 'not-listening'
    | 'quarantined'
    | 'backlog-full'
    | 'table-full'
    | 'refused'
    | 'timeout'
    | 'aborted'
    | 'stack'
}

export interface WorkerReplaced {
  readonly device: string
  /** The worker's queue, from 0. */
  readonly queue: number
  /** What the worker died of. */
  readonly error: Error
}

export interface FloodBegun {
  readonly device: string
  /**
   * Whether the kernel drops the flood in front of the queues (an eBPF program, with CAP_BPF); else the workers refuse
   * it packet by packet.
   */
  readonly filtered: boolean
}

export interface FloodEnded {
  readonly device: string
  /** Milliseconds since it began. */
  readonly lasted: number
}

export interface PathMtuLowered extends ConnectionEnds {
  /** Bytes of the largest datagram that the connection carries from now on. */
  readonly maxDatagram: number
}

export interface DeviceLost {
  readonly device: string
  /** DEVICE; the stack closes by itself. */
  readonly error: Error
}

export interface PeerDead extends ConnectionEnds {
  /** Milliseconds since the peer was last heard. */
  readonly silence: number
}

/** Every channel, and what is published on it. */
export interface DiagnosticsPayloads {
  /** A handshake is complete. The connection has its socket, or reaches its service in a moment. */
  'fake-tcp:connection:opened': ConnectionOpened
  /** A connection that was open is gone, whoever ended it. */
  'fake-tcp:connection:closed': ConnectionClosed
  /**
   * A handshake was begun and no connection came of it. What fails before the first packet is an error of `connect`
   * alone.
   */
  'fake-tcp:connection:refused': ConnectionRefused
  /** A queue worker died or was stuck, and another one reads its queue. Connections live on. */
  'fake-tcp:worker:replaced': WorkerReplaced
  /** More than 10,000 packets a second that belong to no connection reach a worker. */
  'fake-tcp:flood:begun': FloodBegun
  /** The flood that was told of is over. */
  'fake-tcp:flood:ended': FloodEnded
  /** A router said twice that a connection's packets are too big for the path. */
  'fake-tcp:path-mtu:lowered': PathMtuLowered
  /** The TUN interface, or the other end of the virtual link, is gone for good. Every connection's `closed` follows. */
  'fake-tcp:device:lost': DeviceLost
  /** A peer gave no sign of life (`StackOptions.keepalive`). `closed` follows, with the reason 'timeout'. */
  'fake-tcp:peer:dead': PeerDead
}

export type DiagnosticsChannel = keyof DiagnosticsPayloads

const open = <N extends DiagnosticsChannel>(name: N) => {
  const named = channel(name)
  return {
    get wanted(): boolean {
      return named.hasSubscribers
    },
    publish(payload: DiagnosticsPayloads[N]): void {
      named.publish(payload)
    },
  }
}

/** Look at `wanted` before a payload is made. */
export const diagnostics = {
  opened: open('fake-tcp:connection:opened'),
  closed: open('fake-tcp:connection:closed'),
  refused: open('fake-tcp:connection:refused'),
  workerReplaced: open('fake-tcp:worker:replaced'),
  floodBegun: open('fake-tcp:flood:begun'),
  floodEnded: open('fake-tcp:flood:ended'),
  pathMtuLowered: open('fake-tcp:path-mtu:lowered'),
  deviceLost: open('fake-tcp:device:lost'),
  peerDead: open('fake-tcp:peer:dead'),
} as const
