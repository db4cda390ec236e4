import type { UdpSocket } from './socket.js'

/** Where the datagrams of one flow go, and what becomes of the way when it is refused. */
export interface Route {
  readonly socket: UdpSocket
  /** Of an unconnected socket's peer; 0 on a connected socket, where the rest is zero too. */
  readonly port: number
  /** As `Message.address`: four words as they lie in memory. */
  readonly address: Int32Array
  /** Address to send from, same form; all zero leaves it to the kernel. */
  readonly local: Int32Array
  readonly scope: number
  /**
   * The kernel has refused to cut messages into datagrams of this many bytes or more: they go one by one. 0: none are
   * cut.
   */
  singleFrom: number
  /**
   * The kernel said what had become of an earlier datagram (ICMP). Nothing is wrong with the one that is about to
   * leave, or has left at the second try. The route may lead elsewhere from now on.
   */
  reported(errno: number): void
  /**
   * A message was refused, twice. Whether another try is worth it: the socket is a new one, or the address to send from
   * was dropped.
   */
  refused(errno: number): boolean
}

/** `address` and `local` of a connected socket. */
export const unaddressed = new Int32Array(4)

/** For a route that has no socket just now: what is sent there is refused. */
export const noSocket: UdpSocket = { fd: -1, family: 4 }
