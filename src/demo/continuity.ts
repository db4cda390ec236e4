import { u32 } from '../wire/bytes.js'
import * as ipv4 from '../wire/ipv4.js'
import { distance } from '../wire/serial.js'
import * as tcp from '../wire/tcp.js'

/** Looks whether captured segments of TCP connections follow each other without a gap, as an analyser would. */
export class Continuity {
  /** Next sequence number by direction: addresses and ports. */
  readonly #next = new Map<string, number>()
  gaps = 0

  /** An IPv4 packet of `length` bytes whose headers are at `at`. */
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
