import { TokenBucket } from '../flood/token-bucket.js'
import { Counter } from '../memory/counters.js'
import { Field, State } from '../memory/flow-table.js'
import type { StackMemory } from '../memory/shared-stack.js'
import * as icmp from '../wire/icmp.js'
import { Protocol } from '../wire/ip.js'
import * as ipv4 from '../wire/ipv4.js'
import * as ipv6 from '../wire/ipv6.js'
import { distance } from '../wire/serial.js'
import { headersLength } from '../wire/sizes.js'
import type { Report } from './messages.js'

/**
 * Minimum of the MTU that is believed, in bytes. A message with less is wrong or forged, and counts as one with this
 * much. For IPv6 it is the minimum of every link (RFC 8200 §5). IPv4 allows links of 68 bytes, but every host accepts
 * packets of 576 (RFC 791). Linux has the same guard at 552 (`min_pmtu`).
 */
const minMtu = { 4: 576, 6: 1_280 } as const
/** A quoted number may be on its way if it lies at most this many bytes back. */
const inFlight = 16 * 1024 * 1024
/**
 * If the quote has no ACK (RFC 792 guarantees 8 bytes of TCP), the second message counts only until this many bytes
 * were sent after the first.
 */
const inFlightUnvouched = 4 * 1024 * 1024
/**
 * Messages that each worker examines per second. A router sends one per second and host (Linux: icmp_ratelimit); an
 * attacker who guesses sends thousands.
 */
const lookRate = 20
/** Milliseconds after which a second message counts as a first one. */
const timeoutMs = 10_000

/**
 * Lowers a connection's largest datagram when a router says that a packet was too big (RFC 1191, RFC 8201), in two
 * steps:
 *
 * 1. A message counts when it quotes a sequence number that may be on its way, and an ACK that we may have sent. An
 *    IPv4 router may leave the ACK out.
 * 2. A second message must do the same for a packet that was sent after the first message came. If its quote has no
 *    ACK, the quoted IP identification must be one that was used since then.
 *
 * An attacker off the path does not see which sequence numbers are on their way, and has to guess twice (RFC 5927 §7).
 * A real router sends a message for every packet that is too big.
 */
export class PathMtu {
  readonly #memory: StackMemory
  readonly #report: (report: Report) => void
  readonly #looks = new TokenBucket(lookRate)

  constructor(memory: StackMemory, report: (report: Report) => void) {
    this.#memory = memory
    this.#report = report
  }

  /**
   * Handles a packet that is not TCP, from offset `ip` to `end`. `now` in milliseconds. Returns the counter to raise.
   */
  receive(b: Uint8Array, ip: number, end: number, now: number): number {
    const version = b[ip] >>> 4 === 4 ? 4 : 6
    const header = version === 4 ? ipv4.check(b, ip, end, Protocol.icmp) : ipv6.check(b, ip, end, Protocol.icmp6)
    if (header < 0) return Counter.otherProtocol
    const at = ip + header
    const icmpEnd = ip + (version === 4 ? ipv4.totalLength(b, ip) : ipv6.headerLength + ipv6.payloadLength(b, ip))
    if (icmp.check(b, at, icmpEnd, version, ip) < 0) return Counter.otherProtocol
    const slot = this.#flow(b, at, version)
    if (slot < 0) return Counter.otherProtocol
    const mtu = Math.max(icmp.mtu(b, at), minMtu[version])
    const largest = mtu - headersLength(version)
    const { flows } = this.#memory
    if (largest >= flows.load(slot, Field.maxDatagram) || !this.#looks.take(now)) return Counter.otherProtocol
    const vouched = icmp.quotesAck(b, at, icmpEnd)
    if (!this.#onItsWay(b, at, slot) || (vouched ? !this.#ours(b, at, slot) : version === 6))
      return Counter.otherProtocol
    if (!this.#sentSinceFirst(b, at, slot, now, vouched)) return Counter.pathMtuDoubted
    flows.store(slot, Field.mtuToldAt, 0)
    flows.store(slot, Field.maxDatagram, largest)
    this.#report({ kind: 'pathMtu', slot, generation: flows.load(slot, Field.generation), maxDatagram: largest })
    return Counter.pathMtuLowered
  }

  /** Whether the quoted packet may still be on its way. */
  #onItsWay(b: Uint8Array, at: number, slot: number): boolean {
    const age = distance(icmp.quotedSeq(b, at), this.#memory.flows.load(slot, Field.nextSeq))
    return age > 0 && age <= inFlight
  }

  /** Whether we may have sent the quoted ACK lately. */
  #ours(b: Uint8Array, at: number, slot: number): boolean {
    const age = distance(icmp.quotedAck(b, at), this.#memory.flows.load(slot, Field.nextAck))
    return age >= 0 && age <= inFlight
  }

  /** Whether the quoted packet was sent after the first message. If there was none, this message is the first. */
  #sentSinceFirst(b: Uint8Array, at: number, slot: number, now: number, vouched: boolean): boolean {
    const { flows } = this.#memory
    const nextSeq = flows.load(slot, Field.nextSeq)
    const ipId = flows.load(slot, Field.ipId)
    const toldAt = flows.load(slot, Field.mtuToldAt)
    const toldSeq = flows.load(slot, Field.mtuToldSeq)
    const since = distance(toldSeq, nextSeq)
    const limit = vouched ? inFlight : inFlightUnvouched
    if (toldAt === 0 || ((now - toldAt) | 0) > timeoutMs || since < 0 || since > limit) {
      flows.store(slot, Field.mtuToldSeq, nextSeq)
      flows.store(slot, Field.mtuToldId, ipId)
      // 0 would mean that there was none.
      flows.store(slot, Field.mtuToldAt, now | 0 || 1)
      return false
    }
    if (distance(toldSeq, icmp.quotedSeq(b, at)) < 0) return false
    if (vouched) return true
    const told = flows.load(slot, Field.mtuToldId)
    const ids = (id: number): number => (id - told) & 0xffff
    return ids(ipv4.id(b, icmp.quote(at))) <= ids(ipId)
  }

  /** Slot of the connection that the quoted packet belongs to, or -1. */
  #flow(b: Uint8Array, at: number, version: 4 | 6): number {
    const { flows, index, shared } = this.#memory
    const quote = icmp.quote(at)
    const ports = (icmp.quotedDestinationPort(b, at) << 16) | icmp.quotedSourcePort(b, at)
    let slot: number
    if (version === 4) {
      if ((ipv4.source(b, quote) | 0) !== shared.address4[0]) return -1
      slot = index.find({ family: 4, ports, r0: ipv4.destination(b, quote) | 0, r1: 0, r2: 0, r3: 0 })
    } else {
      for (let i = 0; i < 4; i++) if ((ipv6.word(b, quote, i) | 0) !== shared.address6[i]) return -1
      const word = (i: number) => ipv6.word(b, quote, 4 + i) | 0
      slot = index.find({ family: 6, ports, r0: word(0), r1: word(1), r2: word(2), r3: word(3) })
    }
    return slot >= 0 && flows.load(slot, Field.state) === State.established ? slot : -1
  }
}
