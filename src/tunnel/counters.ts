import { type CounterName, counterTable } from '../memory/counter-table.js'
import type { ServiceContext } from '../workers/service.js'

/**
 * Counters of the tunnel's services, in addition to those of the stack. In the texts, the application is the UDP
 * program at this end of the tunnel.
 */
export const tunnelCounters = counterTable('drop', {
  heldFull: [
    'datagram',
    'A client dropped it: its source has no connection yet, and 256 datagrams of it, or too many of all sources, wait already. The server does not answer.',
  ],
  heldExpired: [
    'datagram',
    'A client dropped it: its source got no connection within 30 s, or was forgotten before. The server does not answer.',
  ],
  flowEvicted: [
    'connection',
    'Ended to make room for a new one: of all connections it was silent for longest. Its source’s next datagram opens another.',
  ],
  flowRefused: [
    'connection',
    'Not begun, and not accepted: as many as may be are in use, and none was silent for 5 s. A client drops the datagram, a server sends a RST.',
  ],
  serviceDropped: [
    'connection',
    'A server accepted it and ended it at once: it had no file descriptor or source port for its UDP socket.',
  ],
  emptyDatagram: [
    'datagram',
    'The application sent an empty datagram, which a connection cannot carry. The tunnel dropped it.',
  ],
  oversizeDatagram: [
    'datagram',
    'The application sent more bytes than a packet on the connection carries. The tunnel dropped it, and has said in its log how many fit.',
  ],
  udpTruncated: [
    'datagram',
    'The tunnel dropped it: it was longer than the room for one message, and the kernel had cut it.',
  ],
  udpSendFailed: [
    'datagram',
    'It came through the tunnel, and the kernel did not take it: the application is not there, or the socket’s buffer is full.',
  ],
  udpReceiveFailed: [
    'read',
    'The kernel answered a read with an error, usually with news (ICMP) of an earlier datagram: the application is not there. The tunnel goes on.',
  ],
  udpUnresolved: [
    'datagram',
    'A server dropped it: the name of the UDP service does not resolve. It goes on asking for it.',
  ],
})

export type TunnelCounter = CounterName<typeof tunnelCounters>
export type TunnelContext = ServiceContext<unknown, TunnelCounter>
