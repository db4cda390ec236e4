import { u32 } from '../wire/bytes.js'
import * as ipv4 from '../wire/ipv4.js'
import { distance } from '../wire/serial.js'
import * as tcp from '../wire/tcp.js'

/** Counts the gaps between captured segments of TCP connections, as an analyser would. */
export class Continuity {
  /** Next expected sequence number of each direction of a connection. Key: addresses and ports. */
  readonly #next = new Map<string, number>()
  gaps = 0

  /** Takes an IPv4 TCP packet of `length` bytes at `at`. Reads only its headers. */
  segment(b: Uint8Array, at: number, length: number): void {
    const tcpAt = at + ipv4.headerLength(b, at)
    const flags = tcp.flags(b, tcpAt)
    const payload = length - (tcpAt - at) - tcp.dataOffset(b, tcpAt)
    const direction = `${ipv4.source(b, at)},${ipv4.destination(b, at)},${u32(b, tcpAt)}`
    const seq = tcp.seq(b, tcpAt)
    const end = (seq + payload + ((flags & (tcp.Flag.syn | tcp.Flag.fin)) !== 0 ? 1 : 0)) >>> 0
    const next = (flags & tcp.Flag.syn) !== 0 ? undefined : this.#next.get(direction)
    const step = next === undefined ? 0 : distance(next, seq)
    if (step > 0) this.gaps++
    if (next === undefined || distance(next, end) > 0) this.#next.set(direction, end)
  }
}
