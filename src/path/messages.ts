/** Control messages between the coordinator and a queue worker. Data never travels here. */

import type { AnyErrorCode } from '../errors.js'
import type { LogEvent } from '../log/events.js'
import type { FlowId } from '../memory/flow-table.js'
import type { ServiceWords } from '../memory/service-counters.js'
import type { Remote, Tuple } from '../memory/tuple.js'

/** Why a connection ended: by us, by its peer, because nothing came any more, or with its stack. */
export type CloseReason = 'local' | 'reset' | 'timeout' | 'stack'

/** The same as numbers, for shared memory and `purge`. */
export const End = { local: 0, reset: 1, timeout: 2, stack: 3 } as const satisfies Record<CloseReason, number>
export type End = (typeof End)[CloseReason]

/** By `End`. */
export const closeReasons = Object.keys(End) as readonly CloseReason[]

/** Worker → coordinator. Each one was earned: the worker checked cookie, ack number or sequence number first. */
export type Report =
  /** The third packet of a handshake, answering a cookie. */
  | { kind: 'handshake'; tuple: Tuple; key: string; seq: number; ack: number }
  /** SYN+ACK for a connection we opened. */
  | ({ kind: 'synAck'; seq: number } & FlowId)
  | ({ kind: 'refused' } & FlowId)
  /** The peer ended it. */
  | ({ kind: 'reset' } & FlowId)
  /** A service ends it; the coordinator sends the RST. */
  | ({ kind: 'close'; end: End } & FlowId)
  /** A service wants a connection to one of these addresses, homed on this worker's queue. */
  | { kind: 'connect'; service: number; token: number; port: number; targets: readonly Remote[] }
  /** A router's messages have lowered the connection's largest datagram to so many bytes. */
  | ({ kind: 'pathMtu'; maxDatagram: number } & FlowId)
  /** Far more packets came than are answered; `syns`: they are SYNs. */
  | { kind: 'flood'; syns: boolean }
  /** The kernel's number of the worker's thread. */
  | { kind: 'ready'; thread: number }
  /** Answers the order of the same name: whatever was read before it has gone off. */
  | { kind: 'fence'; id: number }
  | { kind: 'deviceGone'; errno: number }
  | ({ kind: 'log' } & LogEvent)
  | { kind: 'served'; id: number; error?: { message: string; code: AnyErrorCode } }

/** Coordinator → worker. */
export type Order =
  /** A connection exists. `key` answers a `handshake`; a service's flow comes to its home worker with or without one. */
  | ({ kind: 'opened'; key?: string } & FlowId)
  /** A service's `connect` succeeded. The peer may have ended the connection since. */
  | ({ kind: 'connected'; service: number; token: number } & FlowId)
  /** The `handshake` was turned down; with `reset` the peer is told. */
  | { kind: 'turnedDown'; key: string; reset: boolean }
  /** A service's `connect` failed. */
  | { kind: 'connectFailed'; service: number; token: number; code: string; message: string }
  /** Triples (slot, generation, End) of connections that are gone. */
  | { kind: 'purge'; gone: Int32Array }
  | { kind: 'fence'; id: number }
  | { kind: 'serve'; id: number; url: string; data: unknown; counters: ServiceWords }
  | { kind: 'stop' }
