import { faultNames } from '../wire/fault.js'

/**
 * One page of 64-bit counters per thread, in shared memory: the thread adds with plain stores, anyone may read. Values are
 * exact up to 2^53. Every way in which a packet can vanish has a name here.
 *
 * The page starts with one counter per parse fault (`wire/fault.ts`): fault -1 is counter 0, and so on.
 */
const traffic = [
  'packetsIn',
  'superPacketsIn',
  'datagramsIn',
  'bytesIn',
  'packetsOut',
  'superPacketsOut',
  'datagramsOut',
  'bytesOut',
  'acksOut',
  'resetsOut',
  'challengesOut',
  'synCookiesOut',
  /** Connections that were asked for, and those of them that their peer accepted. */
  'connectsBegun',
  'connectsDone',
  'cacheMisses',
  /** Writes with a virtio-net header that the kernel refused; their datagrams went out as plain packets. */
  'headersRefused',
  /** Connections closed because their peer gave no sign of life. */
  'peerDead',
  /** A router said that packets were too big, and was believed. */
  'pathMtuLowered',
] as const

const drops = [
  /** Destination is not an address of this stack. */
  'notForUs',
  /** Source and destination are the same (LAND). */
  'ownSource',
  /** No connection, no listener: answered with RST while the rate limit lets it. */
  'unknownTuple',
  'replyRateLimited',
  /** No connection, and the stack answers nobody before it listens or connects. */
  'notYetListening',
  'synBadSeq',
  /** One source sent more SYNs than it may. */
  'synSourceLimited',
  /** SYN dropped because too many came at once. The client's retry is answered. */
  'synFlood',
  /** Neither a connection's nor a handshake's: dropped by the kernel while a flood lasted. */
  'strayFlood',
  /** A router said that packets were too big, and is to say it again of a later one. */
  'pathMtuDoubted',
  'strayReset',
  /** A SYN, SYN+ACK, FIN or flagless segment on a connection that cannot take it. */
  'unexpectedFlags',
  'seqOutOfWindow',
  'ackOfUnsentData',
  /** It acknowledges what was sent 256 MiB ago. */
  'ackTooOld',
  'resetNotExact',
  'indexContended',
  /** Handshake segments that no half-open connection waited for. */
  'strayHandshake',
  'openingFull',
  'openRefused',
  'backlogFull',
  'duplicateOpen',
  'consumerRingFull',
  'receiveQueueFull',
  'flowGone',
  'serviceDropped',
  'emptyDatagram',
  'oversizeDatagram',
  'udpTruncated',
  'udpSendFailed',
  'udpReceiveFailed',
  /** A datagram of a UDP source whose connection is not open yet: too many of them wait already. */
  'heldFull',
  /** A datagram that waited too long for a connection. */
  'heldExpired',
  'connectFailed',
  /** A datagram for a UDP service whose name does not resolve. */
  'udpUnresolved',
  /** A flow that was silent for longest, ended to make room for a new one. */
  'flowEvicted',
  /** A new flow that found no room: all that may be are in use, and none of them is silent. */
  'flowRefused',
  /** Neither TCP nor anything we use (ICMP, UDP …). */
  'otherProtocol',
  'writeFull',
  'writeFailed',
  'deviceGone',
] as const

export type TrafficCounter = (typeof traffic)[number]
export type DropCounter = (typeof drops)[number]

export const counterNames: readonly string[] = [...faultNames, ...traffic, ...drops]

const index = {} as Record<TrafficCounter | DropCounter, number>
for (const [at, name] of [...traffic, ...drops].entries()) index[name] = faultNames.length + at
/** Index of each counter in a page. */
export const Counter: Readonly<Record<TrafficCounter | DropCounter, number>> = index

export type CounterPage = Float64Array

export const counterPageBytes = counterNames.length * 8

/** Counter index of a (negative) parse fault. */
export const faultCounter = (fault: number): number => -fault - 1

export interface CounterReading {
  readonly traffic: Record<TrafficCounter, number>
  /** One number per reason a packet can vanish; parse faults included. */
  readonly drops: Record<string, number>
}

/** The sum of pages, by name. */
export const readCounters = (pages: readonly CounterPage[]): CounterReading => {
  const reading = { traffic: {} as Record<TrafficCounter, number>, drops: {} as Record<string, number> }
  const trafficStart = faultNames.length
  for (const [at, name] of counterNames.entries()) {
    let value = 0
    for (const page of pages) value += page[at]
    if (at >= trafficStart && at < trafficStart + traffic.length) reading.traffic[name as TrafficCounter] = value
    else reading.drops[name] = value
  }
  return reading
}
