/** How much an event matters; as pino's levels of these names. */
export type Level = 'debug' | 'info' | 'warn' | 'error'

/**
 * Every event that fake-tcp logs: its name, which is in the field `event` of the log record, and what it means. Names
 * are stable, so programs may rely on them. The text of a record may change. docs/operations.md has the same table.
 */
export const events = {
  // The stack: library and tunnel.
  'worker-replaced': 'A queue worker died or was stuck, and another one reads its queue. Connections live on.',
  'device-lost': 'The TUN interface is gone for good; the stack closes.',
  'interface-repaired': 'The interface had lost addresses, routes or its link, and has them again.',
  'interface-damaged': 'The interface has lost something that cannot be put back.',
  'flood-begun': 'More packets come that belong to no connection than are answered.',
  'flood-syns': 'In a flood of SYNs the kernel drops a client’s first SYN, and its second one is answered.',
  'flood-ended': 'The flood is over.',
  'path-mtu-lowered':
    'A router on the path lets only smaller packets through; the connection’s largest datagram shrinks.',
  'super-packets-unused': 'The kernel refuses or damages super-packets; the stack goes on without.',
  'super-packets-untried': 'Super-packets could not be tried at the start; they are used until a write is refused.',
  'tun-flag-refused': 'The kernel refused a flag for the TUN interface, and what is lost by that.',
  'addresses-replaced': 'The default addresses are in use on this machine; others were taken.',
  'ipv6-missing': 'The machine has IPv6 switched off; the stack goes on with IPv4.',
  // Both ends of the tunnel.
  ready: 'The tunnel carries datagrams.',
  'connection-closed': 'A connection is gone, whoever ended it.',
  'connection-idle': 'A connection without traffic is closed.',
  'connection-evicted': 'A silent connection is closed to make room for a new one.',
  'flows-full': 'There is no room for a new flow, and it was refused.',
  'flow-limit': 'The machine has room for fewer flows than wanted.',
  'datagram-oversize': 'A datagram was larger than its connection carries, and was dropped.',
  'name-unresolved': 'The name of the remote address does not resolve.',
  'name-resolved': 'The name of the remote address resolves now.',
  'name-moved': 'The name of the remote address stands for other addresses now.',
  // The client.
  'source-new': 'A UDP source sent its first datagram.',
  'source-unanswered': 'A source sends, and nothing has come back to it through the tunnel yet.',
  'entrance-waiting': 'The address where UDP datagrams are to be taken is not there yet.',
  'entrance-open': 'UDP datagrams are taken at that address now.',
  'server-unreachable': 'A connection to the server did not come about; it is tried again.',
  'server-answers': 'The server answers again.',
  'server-unanswered': 'No handshake has come about for a while, and why, as far as it shows.',
  // The server.
  'connection-accepted': 'A client has opened a connection.',
  'leg-failed': 'There was no UDP socket for a new connection, which was closed.',
  'leg-moved': 'A connection’s UDP socket sends to another address of the service.',
  'service-refuses': 'Nobody listens where the UDP service is to be.',
  'service-unreachable': 'The UDP service cannot be reached; the way is tried again.',
  'service-unanswered': 'The UDP service has never answered a connection.',
  'service-answers': 'The UDP service answers again.',
  'nothing-arrives': 'Somebody asks for the server’s port, and nothing reaches it; and why, as far as it shows.',
  // The program.
  'stopped-early': 'A signal ended the program before it was ready.',
  stopping: 'A signal came; every connection is being closed.',
  stopped: 'The program ends; what it carried and dropped.',
  'nothing-to-reload': 'SIGHUP came, and there is nothing to reload.',
  'status-unavailable': '`fake-tcp status` will not show this program.',
  warning: 'Node.js warns of something.',
  unexpected: 'An error that nobody expected; the program ends.',
  'lines-dropped': 'The log could not be written for a while.',
  'events-folded': 'Many different events, counted together.',
} as const satisfies Record<string, string>

export type EventName = keyof typeof events

/** The name of an event of a user's service. It has a prefix, as in `echo:started`. */
export type ServiceEvent = `${string}:${string}`

/** The fields of a log record. `count` is the number of events that the record stands for; without it, 1. */
export interface EventFields {
  readonly event: EventName | ServiceEvent
  readonly [field: string]: unknown
}

/** One log record. */
export interface LogEvent {
  readonly level: Level
  readonly text: string
  readonly fields: EventFields
}

/** What takes log records: a pino logger, or an object with the same four methods. */
export type EventLog = Record<Level, (fields: EventFields, text: string) => void>
