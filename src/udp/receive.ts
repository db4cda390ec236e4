import { Message, native } from '../native.js'

/** Messages taken in one go: enough for a full super-packet of plain datagrams, and a short turn with UDP_GRO. */
export const maxReceived = 64
/** Room for any message; not a multiple of a page, so that the messages' starts spread over the cache. */
const stride = 65_536 + 1_088

/** Takes a batch of messages from a socket per system call; each may hold several datagrams of equal size (UDP_GRO). */
export class UdpReceiver {
  /** Records of the messages, `Message.words` words each. */
  readonly records = new Int32Array(maxReceived * Message.words)
  /** Where the datagrams lie until the next `receive`. */
  readonly bytes = new Uint8Array(maxReceived * stride)
  /** `bytes` for the addon. */
  readonly arena = native.arenaOpen(this.bytes)
  readonly #recordsArena = native.arenaOpen(new Uint8Array(this.records.buffer))

  /**
   * Messages that came, 0 when there were none, or -errno: the report of an earlier datagram's fate (ICMP), which is
   * gone then.
   */
  receive(fd: number): number {
    return native.udpReceive(fd, this.arena, 0, stride, maxReceived, this.#recordsArena, 0)
  }

  /** Bytes of one datagram of a message; the last one may be shorter. */
  segmentSize(record: number): number {
    return this.records[record + Message.segmentSize] || this.records[record + Message.length]
  }

  /** Whether a message holds more than one datagram. */
  isSeveral(record: number): boolean {
    const size = this.records[record + Message.segmentSize]
    return size !== 0 && size < this.records[record + Message.length]
  }

  /** Throws away what a socket has: it came before the socket was connected, from anyone. */
  discard(fd: number): void {
    while (this.receive(fd) > 0);
  }
}
