/** Messages between the coordinator and a queue worker. Datagrams never travel in them. */

import type { AnyErrorCode } from '../errors.js'
import type { LogEvent } from '../log/events.js'
import type { FlowId } from '../memory/flow-table.js'
import type { ServiceWords } from '../memory/service-counters.js'
import type { Remote, Tuple } from '../memory/tuple.js'

/**
 * Why a connection ended. `local`: this side closed it. `reset`: the peer sent RST. `timeout`: the peer was silent, and
 * did not answer keepalive probes; or a service gave this reason. `stack`: the stack was closed.
 */
export type CloseReason = 'local' | 'reset' | 'timeout' | 'stack'

/** The same as numbers, for messages. */
export const End = { local: 0, reset: 1, timeout: 2, stack: 3 } as const satisfies Record<CloseReason, number>
export type End = (typeof End)[CloseReason]

/** Each reason, at the index that `End` gives it. */
export const closeReasons = Object.keys(End) as readonly CloseReason[]

/**
 * Worker → coordinator. A worker reports what a packet asks for only after it has checked the packet's cookie, its
 * acknowledgement number or its sequence number.
 */
export type Report =
  /** The third packet of a handshake came, and acknowledges our cookie. `key`: of the worker's `Opening`. */
  | { kind: 'handshake'; tuple: Tuple; key: string; seq: number; ack: number }
  /** The SYN+ACK for a connection in state synSent came. */
  | ({ kind: 'synAck'; seq: number } & FlowId)
  /** A RST for a connection in state synSent came. */
  | ({ kind: 'refused' } & FlowId)
  /** The peer ended an established connection. */
  | ({ kind: 'reset' } & FlowId)
  /** A service ends a connection. The coordinator sends the RST. */
  | ({ kind: 'close'; end: End } & FlowId)
  /** A service asks for a connection to one of these addresses, with this worker's queue as its home queue. */
  | { kind: 'connect'; service: number; token: number; port: number; targets: readonly Remote[] }
  /** A router's messages have lowered the connection's largest datagram to this many bytes. */
  | ({ kind: 'pathMtu'; maxDatagram: number } & FlowId)
  /** Many more packets come than the worker answers. `syns`: whether they are SYNs. */
  | { kind: 'flood'; syns: boolean }
  /** The worker reads its queue. `thread`: the kernel's number of its thread. */
  | { kind: 'ready'; thread: number }
  /** Answers the order of the same name: whatever the worker had read before the order is delivered. */
  | { kind: 'fence'; id: number }
  /** A read from the queue failed for good. `errno` is negative. */
  | { kind: 'deviceGone'; errno: number }
  | ({ kind: 'log' } & LogEvent)
  /** Answers `serve`: the service runs, or why it does not. */
  | { kind: 'served'; id: number; error?: { message: string; code: AnyErrorCode } }

/** Coordinator → worker. */
export type Order =
  /**
   * A connection exists. With `key` this answers a `handshake`. The home worker of a service's flow gets it in any
   * case, with or without `key`.
   */
  | ({ kind: 'opened'; key?: string } & FlowId)
  /** A service's `connect` succeeded. The connection may have ended since. */
  | ({ kind: 'connected'; service: number; token: number } & FlowId)
  /** Turns a `handshake` down. `reset`: whether the worker sends the peer a RST. */
  | { kind: 'turnedDown'; key: string; reset: boolean }
  /** A service's `connect` failed. */
  | { kind: 'connectFailed'; service: number; token: number; code: string; message: string }
  /** Triples (slot, generation, End) of connections that are gone. */
  | { kind: 'purge'; gone: Int32Array }
  /** Asks for the report of the same name. */
  | { kind: 'fence'; id: number }
  /** Load this service. */
  | { kind: 'serve'; id: number; url: string; data: unknown; counters: ServiceWords }
  | { kind: 'stop' }
