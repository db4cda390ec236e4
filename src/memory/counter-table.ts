import { type FaultName, faultNames, faultTexts } from '../wire/fault.js'

/** What a counter counts. A super-packet counts as one packet, and as the datagrams in it. */
export type CounterUnit = 'packet' | 'datagram' | 'byte' | 'connection' | 'read' | 'write'
/** Whether a counter counts what was done, or what was lost. */
export type CounterKind = 'traffic' | 'drop'

export interface CounterRow<Name extends string = string> {
  readonly name: Name
  readonly kind: CounterKind
  readonly unit: CounterUnit
  /** Sentences: what is counted, by whom, and what happens next. */
  readonly text: string
}

/** The names in a table of counters, as a union type. */
export type CounterName<Table extends readonly CounterRow[]> = Table[number]['name']

/** Makes a table of counters of one kind. Each row has a name, a unit and a text. */
export const counterTable = <Name extends string>(
  kind: CounterKind,
  rows: Readonly<Record<Name, readonly [CounterUnit, string]>>,
): readonly CounterRow<Name>[] =>
  (Object.keys(rows) as Name[]).map(name => ({ name, kind, unit: rows[name][0], text: rows[name][1] }))

/**
 * Faults of packets that are not malformed TCP but something else. The inbound path counts them as `otherProtocol`, so
 * their own counters stay 0.
 */
const otherProtocol: ReadonlySet<FaultName> = new Set([
  'ipv4Protocol',
  'ipv6Protocol',
  'icmpTooShort',
  'icmpType',
  'icmpChecksum',
  'icmpQuote',
])

/** Parse faults. They come first in a page: fault -1 is counter 0, fault -2 is counter 1 and so on. */
const faults: readonly CounterRow<FaultName>[] = faultNames.map(name => ({
  name,
  kind: 'drop',
  unit: 'packet',
  text: `A worker dropped it: ${faultTexts[name]}${otherProtocol.has(name) ? ' Always 0, since it counts as `otherProtocol`.' : ''}`,
}))

const traffic = counterTable('traffic', {
  packetsIn: ['packet', 'Read from the device by a worker, whatever became of it.'],
  superPacketsIn: ['packet', 'Those of them that brought several datagrams of a connection at once.'],
  datagramsIn: [
    'datagram',
    'Received on connections. They go on to a socket or a service, or are counted as lost on that way.',
  ],
  bytesIn: ['byte', 'Of these datagrams, without headers.'],
  packetsOut: ['packet', 'Written to the device.'],
  superPacketsOut: ['packet', 'Those of them that carried several datagrams of a connection at once.'],
  datagramsOut: ['datagram', 'Sent on connections, and taken by the device.'],
  bytesOut: ['byte', 'Of these datagrams, without headers.'],
  acksOut: ['packet', 'ACKs without data, by which a peer and the firewalls on the way learn what has arrived.'],
  resetsOut: [
    'packet',
    'RSTs: to the peer of a connection that ended here, or to somebody who sent for a connection that is not there.',
  ],
  challengesOut: [
    'packet',
    'ACKs that ask a peer for an answer: to a RST or SYN that may be forged, and after a silence (keepalive). A live peer answers with an ACK, one that is gone with a RST.',
  ],
  synCookiesOut: [
    'packet',
    'SYN+ACKs that workers answered SYNs with. The stack keeps nothing for them: the third packet proves itself.',
  ],
  connectsBegun: ['connection', 'Attempts to connect, one for each address that was tried.'],
  connectsDone: ['connection', 'Those of them that the peer accepted.'],
  cacheMisses: [
    'packet',
    'A worker did not know the tuple and looked it up in shared memory. The first packet of a connection always does.',
  ],
  headersRefused: [
    'write',
    'The kernel refused a packet whose virtio-net header asked for something. Its datagrams went out as plain packets; from then on the whole stack writes plain ones.',
  ],
  peerDead: [
    'connection',
    'Ended by the coordinator because its peer was silent, and answered none of the probes. The peer gets a RST.',
  ],
  pathMtuLowered: [
    'packet',
    'A router said that a packet was too big, and the worker believed it. The connection carries smaller datagrams from then on.',
  ],
})

const drops = counterTable('drop', {
  notForUs: [
    'packet',
    'A worker dropped it: its destination is none of the stack’s addresses. Somebody translates to the wrong address.',
  ],
  ownSource: ['packet', 'A worker dropped it: its source is the address that it came to (a LAND attack).'],
  unknownTuple: [
    'packet',
    'It belongs to no connection, and no listener takes it. The worker answers with RST, as far as the rate for that lets it.',
  ],
  replyRateLimited: [
    'packet',
    'Also counted as `unknownTuple` or `synBadSeq`. The worker did not answer it: it has sent as many RSTs as it may in a second.',
  ],
  notYetListening: [
    'packet',
    'Also counted as `unknownTuple` or `synBadSeq`. The worker did not answer it: the stack has not begun to listen or connect yet, or closes. The peer tries again.',
  ],
  synBadSeq: [
    'packet',
    'A SYN for a listener whose sequence number is not 0: not of a fake-TCP client. The worker answers with RST.',
  ],
  synSourceLimited: [
    'packet',
    'A SYN that a worker dropped because its source sent more of them than one source may. A real client’s next one may pass.',
  ],
  synFlood: [
    'packet',
    'A SYN that a worker, or the kernel’s filter in front of it, dropped because too many came at once. A real client’s second one is answered.',
  ],
  strayFlood: [
    'packet',
    'The kernel’s filter dropped it while a flood lasted: it belongs to no connection and no handshake. Connections lose nothing by that.',
  ],
  pathMtuDoubted: [
    'packet',
    'A router said that a packet was too big. The worker waits until it says so again of a later packet: the message may be forged.',
  ],
  strayReset: ['packet', 'A RST for no connection. A worker dropped it: nobody answers a RST.'],
  unexpectedFlags: [
    'packet',
    'A SYN, SYN+ACK, FIN or a segment without ACK, on a connection that cannot take it. The worker dropped it, and asks the peer of a SYN how it stands.',
  ],
  seqOutOfWindow: [
    'packet',
    'Its sequence number lies more than 64 MiB from the one that was due. A worker dropped it; if the next one continues it, both ends go on from there.',
  ],
  ackOfUnsentData: [
    'packet',
    'It acknowledges what was never sent, so it is forged or of an older connection. A worker dropped it.',
  ],
  ackTooOld: [
    'packet',
    'It acknowledges what was sent 256 MiB ago, so it is forged or was long on its way. A worker dropped it.',
  ],
  resetNotExact: [
    'packet',
    'A RST whose sequence number is not exactly the one that is due. The worker did not end the connection, but asked the peer.',
  ],
  indexContended: ['packet', 'A worker dropped it because the index of tuples changed under each of its eight looks.'],
  strayHandshake: [
    'packet',
    'Part of a handshake that nobody waits for any more. The coordinator or a worker dropped it.',
  ],
  openingFull: [
    'packet',
    'It came for a connection that the coordinator was about to make, and the worker had no room to keep it, or to begin one more. The peer’s next packet may find room.',
  ],
  openRefused: [
    'connection',
    'The coordinator turned down a complete handshake: the listener is closed, the tuple is in quarantine, or the table is full. The peer gets a RST.',
  ],
  backlogFull: [
    'connection',
    'The coordinator dropped a complete handshake: too many connections wait to be accepted. The client’s next packet asks again.',
  ],
  duplicateOpen: [
    'connection',
    'Two workers saw the same handshake. The coordinator made one connection of it, and nothing is lost.',
  ],
  connectFailed: [
    'connection',
    'A service asked for a connection, and no address of the peer accepted it. The service is told.',
  ],
  consumerRingFull: [
    'datagram',
    'A worker dropped it: the memory between it and the thread of the socket was full. That thread is too slow.',
  ],
  receiveQueueFull: [
    'datagram',
    'The thread of its socket dropped it: the socket’s receive queue was full. Its reader is too slow.',
  ],
  flowGone: ['datagram', 'It arrived, and its connection had ended before a socket or a service could take it.'],
  otherProtocol: ['packet', 'A worker dropped it: neither TCP, nor an ICMP message about the path of a connection.'],
  writeFull: [
    'datagram',
    'The device’s queue was full, so it was not sent. A packet without a datagram counts as one. The sender is told how many were taken.',
  ],
  writeFailed: [
    'datagram',
    'The kernel refused to write it, for another reason than a full queue. A packet without a datagram counts as one.',
  ],
  deviceGone: [
    'datagram',
    'The interface is down or removed, so it was not sent. A failed read counts as one. The worker tries again while the interface is down; when it is removed the stack closes.',
  ],
})

export type TrafficCounter = CounterName<typeof traffic>
export type DropCounter = CounterName<typeof drops> | FaultName

/** Every counter of a stack, in the order of a page. Services have counters of their own (`service-counters.ts`). */
export const stackCounters: readonly CounterRow<TrafficCounter | DropCounter>[] = [...faults, ...traffic, ...drops]
