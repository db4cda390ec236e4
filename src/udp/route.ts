import type { UdpSocket } from './socket.js'

/** Where the datagrams of one flow go. Its owner decides what happens when the kernel refuses one. */
export interface Route {
  readonly socket: UdpSocket
  /**
   * The peer's port, for a socket that is not connected. On a connected one it is 0, and the addresses and `scope` are
   * zero too.
   */
  readonly port: number
  /** As `Message.address`: four words as they lie in memory. */
  readonly address: Int32Array
  /** Address to send from, in the same form. All zero: the kernel chooses. */
  readonly local: Int32Array
  /** As `Message.scope`. */
  readonly scope: number
  /**
   * The kernel has refused to cut messages into datagrams of this many bytes or more, so they are sent one by one. 0:
   * it cuts none. Infinity: it has refused nothing.
   */
  singleFrom: number
  /**
   * The kernel has reported the fate of an earlier datagram (ICMP). Nothing is wrong with the datagram that is being
   * sent: it is about to leave, or has left at the second try. The route may change its socket or address now.
   */
  reported(errno: number): void
  /**
   * The kernel has refused a datagram twice. Answers whether to try again, because the route has a new socket or no
   * longer asks for a source address.
   */
  refused(errno: number): boolean
}

/** `address` and `local` of a route with a connected socket: all zero. */
export const unaddressed = new Int32Array(4)

/** The socket of a route that has none at the moment. The kernel refuses whatever is sent there. */
export const noSocket: UdpSocket = { fd: -1, family: 4 }
