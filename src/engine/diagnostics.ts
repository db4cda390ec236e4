/**
 * The channels of node:diagnostics_channel on which stacks publish: `subscribe('fake-tcp:connection:opened',
 * listener)`. Everything about a stack is published in the thread that opened it. Without a subscriber no payload is
 * made. With one, each connection costs a few objects when it begins and when it ends; datagrams cost nothing.
 *
 * A listener is called at the moment of the event. An error that it throws ends the process.
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
  /** As in `Socket.closed`. */
  readonly reason: CloseReason
  /** Datagrams that the connection carried, and their bytes without headers. */
  readonly datagramsIn: number
  readonly bytesIn: number
  readonly datagramsOut: number
  readonly bytesOut: number
}

export interface ConnectionRefused extends ConnectionEnds {
  readonly direction: Direction
  /**
   * In: 'not-listening' (the listener was closed during the handshake), 'quarantined' (a connection between the same
   * addresses and ports ended less than two seconds before), 'backlog-full' (as many connections wait for `accept` as
   * `backlog` allows), 'table-full' (the stack has as many connections as `maxConnections` allows). Out: 'refused' (the
   * peer sent RST), 'timeout' (the peer did not answer), 'aborted' (the caller's signal was aborted, or another address
   * answered first), 'stack' (the stack was closed).
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
  /** The error that ended the worker. */
  readonly error: Error
}

export interface FloodBegun {
  readonly device: string
  /**
   * True: an eBPF program in the kernel drops most of the flood in front of the queues (with CAP_BPF). False: the
   * workers refuse it packet by packet.
   */
  readonly filtered: boolean
}

export interface FloodEnded {
  readonly device: string
  /** Milliseconds from its beginning to its end. */
  readonly lasted: number
}

export interface PathMtuLowered extends ConnectionEnds {
  /** Bytes of the largest datagram that the connection carries from now on. */
  readonly maxDatagram: number
}

export interface DeviceLost {
  readonly device: string
  /** A FakeTcpError with the code DEVICE. The stack closes by itself. */
  readonly error: Error
}

export interface PeerDead extends ConnectionEnds {
  /** Milliseconds since the peer was last heard. */
  readonly silence: number
}

/** Every channel and its payload. */
export interface DiagnosticsPayloads {
  /** A handshake is complete. The connection has its socket, or reaches its service in a moment. */
  'fake-tcp:connection:opened': ConnectionOpened
  /** An open connection is gone, for whatever reason. */
  'fake-tcp:connection:closed': ConnectionClosed
  /**
   * A handshake began, and no connection came of it. Where `connect` fails before it sends a packet, nothing is
   * published.
   */
  'fake-tcp:connection:refused': ConnectionRefused
  /** A queue worker died or was stuck, and another one reads its queue. Connections stay open. */
  'fake-tcp:worker:replaced': WorkerReplaced
  /**
   * A worker refuses more than 10,000 packets a second: they belong to no connection, or are SYNs beyond those that it
   * answers.
   */
  'fake-tcp:flood:begun': FloodBegun
  /** The flood that was published is over. */
  'fake-tcp:flood:ended': FloodEnded
  /** A router said twice that a connection's packets are too big for the path. */
  'fake-tcp:path-mtu:lowered': PathMtuLowered
  /**
   * The TUN interface, or the other end of the virtual link, is gone for good. `closed` follows for every connection.
   */
  'fake-tcp:device:lost': DeviceLost
  /** A peer did not answer the probes (`StackOptions.keepalive`). `closed` follows, with the reason 'timeout'. */
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

/** The channels. Check `wanted` before you make a payload. */
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
