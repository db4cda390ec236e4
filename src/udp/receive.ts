import { Message, native } from '../native.js'

/**
 * Maximum of messages per system call: enough for a super-packet of datagrams that the kernel did not merge, and few
 * enough for a short turn with UDP_GRO.
 */
export const maxReceived = 64
/** Bytes per message: room for any. Not a multiple of a page, so that the messages' starts spread over the cache. */
const stride = 65_536 + 1_088

/** Receives a batch of messages per system call. With UDP_GRO a message may hold several datagrams of equal size. */
export class UdpReceiver {
  /** Records of the messages, `Message.words` words each. */
  readonly records = new Int32Array(maxReceived * Message.words)
  /** The datagrams. Valid until the next `receive`. */
  readonly bytes = new Uint8Array(maxReceived * stride)
  /** `bytes` for the addon. */
  readonly arena = native.arenaOpen(this.bytes)
  readonly #recordsArena = native.arenaOpen(new Uint8Array(this.records.buffer))

  /**
   * Receives from a socket. Answers the number of messages, 0 when none had come, or -errno. The errno may report the
   * fate of an earlier datagram (ICMP); the kernel reports it once.
   */
  receive(fd: number): number {
    return native.udpReceive(fd, this.arena, 0, stride, maxReceived, this.#recordsArena, 0)
  }

  /**
   * Bytes per datagram of a message; the last one may be shorter. `record`: index of the message's first word in
   * `records`.
   */
  segmentSize(record: number): number {
    return this.records[record + Message.segmentSize] || this.records[record + Message.length]
  }

  /** Whether a message holds more than one datagram. */
  isSeveral(record: number): boolean {
    const size = this.records[record + Message.segmentSize]
    return size !== 0 && size < this.records[record + Message.length]
  }

  /** Discards what the socket has received. Before a socket is connected, anyone can send to it. */
  discard(fd: number): void {
    while (this.receive(fd) > 0);
  }
}
