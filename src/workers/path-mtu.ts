import { Counter, type CounterPage } from '../memory/counters.js'
import { Field, State } from '../memory/flow-table.js'
import * as icmp from '../wire/icmp.js'
import { Protocol } from '../wire/ip.js'
import * as ipv4 from '../wire/ipv4.js'
import * as ipv6 from '../wire/ipv6.js'
import { distance } from '../wire/serial.js'
import * as tcp from '../wire/tcp.js'
import type { StackMemory } from './shared-stack.js'

/** No path that carries IP has less (RFC 791: every host takes 576 bytes; RFC 8200 §5); an ICMP message that says so is wrong or hostile. */
const least = { 4: 576, 6: 1_280 } as const
/** The quoted packet must be one that may be on its way: this many bytes back at the most. */
const inFlight = 16 * 1024 * 1024

/**
 * Heeds routers that a packet was too big for (RFC 1191, RFC 8201): lowers the connection's largest datagram, but only when the quote names
 * one of our connections and a sequence number that may be on its way, which somebody off the path does not know.
 */
export class PathMtu {
  readonly #memory: StackMemory
  readonly #counters: CounterPage

  constructor(memory: StackMemory, counters: CounterPage) {
    this.#memory = memory
    this.#counters = counters
  }

  /** `ip` … `end`: a packet that is not TCP. Slot whose largest datagram it lowered, or -1. */
  heed(b: Uint8Array, ip: number, end: number): number {
    const four = b[ip] >>> 4 === 4
    const header = four ? ipv4.check(b, ip, end, Protocol.icmp) : ipv6.check(b, ip, end, Protocol.icmp6)
    if (header < 0) return -1
    const at = ip + header
    const icmpEnd = ip + (four ? ipv4.totalLength(b, ip) : ipv6.headerLength + ipv6.payloadLength(b, ip))
    const version = four ? 4 : 6
    if (icmp.check(b, at, icmpEnd, version, ip) < 0) return -1
    const slot = this.#flow(b, at, version)
    if (slot < 0) return -1
    const { flows } = this.#memory
    const age = distance(icmp.quotedSeq(b, at), flows.load(slot, Field.nextSeq))
    if (age <= 0 || age > inFlight) return -1
    const mtu = Math.max(icmp.mtu(b, at), least[version])
    const largest = mtu - tcp.headerLength - (four ? ipv4.minimumHeaderLength : ipv6.headerLength)
    if (largest >= flows.load(slot, Field.maxDatagram)) return -1
    flows.store(slot, Field.maxDatagram, largest)
    this.#counters[Counter.pathMtuLowered] += 1
    return slot
  }

  /** Slot of the connection that the quoted packet belongs to, or -1. */
  #flow(b: Uint8Array, at: number, version: 4 | 6): number {
    const { flows, index, shared } = this.#memory
    const quote = icmp.quote(at)
    const ports = (icmp.quotedDestinationPort(b, at) << 16) | icmp.quotedSourcePort(b, at)
    let slot: number
    if (version === 4) {
      if ((ipv4.source(b, quote) | 0) !== shared.address4[0]) return -1
      slot = index.find(4, ports, ipv4.destination(b, quote) | 0, 0, 0, 0)
    } else {
      for (let i = 0; i < 4; i++) if ((ipv6.word(b, quote, i) | 0) !== shared.address6[i]) return -1
      const word = (i: number) => ipv6.word(b, quote, 4 + i) | 0
      slot = index.find(6, ports, word(0), word(1), word(2), word(3))
    }
    return slot >= 0 && flows.load(slot, Field.state) === State.established ? slot : -1
  }
}
