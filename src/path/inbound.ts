import { FloodAlarm } from '../flood/flood-alarm.js'
import { strangerRate } from '../flood/limits.js'
import { SynCookies } from '../flood/syn-cookie.js'
import { SynGuard } from '../flood/syn-guard.js'
import { TokenBucket } from '../flood/token-bucket.js'
import { Counter, type CounterPage } from '../memory/counters.js'
import { Field, type FlowId, FlowRef, State } from '../memory/flow-table.js'
import { listeningPorts, type StackMemory, Switch } from '../memory/shared-stack.js'
import { datagramsIn, type Span } from '../memory/span.js'
import { Lookup } from '../memory/tuple-index.js'
import { distance } from '../wire/serial.js'
import { Flag } from '../wire/tcp.js'
import { ackIsDue } from './ack-policy.js'
import { Challenges } from './challenges.js'
import type { Egress } from './egress.js'
import type { Report } from './messages.js'
import { type HeldPayload, type Opening, Openings } from './opening.js'
import type { Packet } from './packet.js'
import { PathMtu } from './path-mtu.js'
import { accepted, Classifier, type Segment } from './segment.js'
import { TupleCache } from './tuple-cache.js'

/**
 * A segment is accepted when its sequence number lies at most this far before or after the expected one. Of two
 * successive segments outside of it, where the second continues the first, the second is accepted.
 */
const window = 64 * 1024 * 1024
/**
 * A segment is accepted when it acknowledges a number at most this far before the next one that we send (RFC 5961
 * §5.2). A stock peer acknowledges the last packet that it saw, so the number is no older than what is on its way. With
 * the window above, one in 512 segments of an attacker who guesses both numbers is accepted.
 */
const ackWindow = 256 * 1024 * 1024

/** The flags that tell what a segment is. PSH, URG and the ECN bits do not matter. */
const kinds = Flag.fin | Flag.syn | Flag.rst | Flag.ack

export interface InboundHooks {
  /** Hands datagrams to the flow's consumer. Both records are valid only during the call. */
  deliver(flow: FlowId, span: Span): void
  report(report: Report): void
  /** The flow has received data that is not acknowledged. */
  owesAck(slot: number): void
  /** Calls `act` in `ms` milliseconds, unless the worker stops before. */
  after(ms: number, act: (now: number) => void): void
}

export interface InboundParts {
  readonly queue: number
  readonly memory: StackMemory
  readonly counters: CounterPage
  readonly egress: Egress
  /** Only tests pass one. */
  readonly classifier?: Classifier
}

/**
 * The inbound path of one queue (docs/architecture.md, steps 2 – 5): checks each packet, finds its flow, moves the
 * flow's numbers and delivers the payload. A packet that belongs to no flow is answered here or reported to the
 * coordinator, never both.
 */
export class Inbound {
  readonly #openings = new Openings()
  readonly #queue: number
  readonly #memory: StackMemory
  readonly #counters: CounterPage
  readonly #classifier: Classifier
  readonly #egress: Egress
  readonly #hooks: InboundHooks
  readonly #challenges: Challenges
  readonly #cache: TupleCache
  readonly #cookies: SynCookies
  readonly #synGuard: SynGuard
  readonly #alarm: FloodAlarm
  readonly #pathMtu: PathMtu
  readonly #strangers = new TokenBucket(strangerRate)
  /** The flow of the packet that is being handled. */
  readonly #flow = new FlowRef()

  constructor({ queue, memory, counters, egress, classifier }: InboundParts, hooks: InboundHooks) {
    this.#queue = queue
    this.#memory = memory
    this.#counters = counters
    this.#classifier = classifier ?? new Classifier(memory.shared)
    this.#egress = egress
    this.#hooks = hooks
    this.#challenges = new Challenges(memory.flows, egress, hooks.after)
    this.#cache = new TupleCache(memory.flows, 16_384)
    this.#cookies = new SynCookies(memory.shared.cookieKey)
    this.#synGuard = new SynGuard(memory.shared.cookieKey, () => hooks.report({ kind: 'flood', syns: true }))
    this.#alarm = new FloodAlarm(() => hooks.report({ kind: 'flood', syns: false }))
    this.#pathMtu = new PathMtu(memory, hooks.report)
  }

  /** Handles one packet as it was read. `now` in milliseconds. */
  packet(packet: Packet, now: number): void {
    const counters = this.#counters
    counters[Counter.packetsIn] += 1
    const refused = this.#classifier.parse(packet)
    if (refused !== accepted) {
      counters[refused === Counter.otherProtocol ? this.#notTcp(packet, now) : refused] += 1
      this.#alarm.refused(now)
      return
    }
    const s = this.#classifier.segment
    const known = this.#find(s)
    if (known === Lookup.contended) {
      counters[Counter.indexContended] += 1
      return
    }
    if (this.#openings.size > 0) {
      const opening = this.#openings.get(Openings.key(s))
      if (opening !== undefined) {
        this.#hold(opening, s)
        return
      }
    }
    // The coordinator may end the connection after it was found here. Then the slot is free, and the packet is handled
    // as one of no connection.
    const flow = this.#flow
    const state = known < 0 ? State.free : this.#memory.flows.load(flow.slot, Field.state)
    if (state === State.established) this.#established(s, flow, now)
    else if (state === State.synSent) this.#synSent(s, flow)
    else this.#stranger(s, now)
  }

  /**
   * The coordinator has accepted a `handshake`: handles what was held meanwhile as if it came now, in its order. Does
   * nothing when no opening has this key.
   */
  opened(key: string, flow: FlowId, now: number): void {
    const opening = this.#openings.finish(key)
    if (opening === undefined) return
    if (!this.#memory.flows.alive(flow)) {
      // The connection has ended since, and another one may have its slot.
      for (const held of opening.held)
        this.#counters[Counter.flowGone] += datagramsIn(held.bytes.length, held.segmentSize)
      return
    }
    for (const held of opening.held) this.#replay(opening, { flags: Flag.ack, ...held }, flow, now)
    if (opening.reset === undefined) return
    this.#replay(opening, { flags: Flag.rst, seq: opening.reset, ack: 0, bytes: nothing, segmentSize: 0 }, flow, now)
  }

  /** The coordinator has turned a `handshake` down. `reset`: whether the peer is sent a RST. */
  turnedDown(key: string, reset: boolean): void {
    const opening = this.#openings.finish(key)
    if (opening !== undefined && reset) this.#egress.refuse(this.#queue, opening.tuple, opening.ack, opening.seq)
  }

  /**
   * The worker stops, so the coordinator answers no more handshakes. Sends a RST to the peers that wait: they take
   * their connections for established.
   */
  close(): void {
    for (const { tuple, seq, ack } of this.#openings.finishAll()) this.#egress.refuse(this.#queue, tuple, ack, seq)
  }

  /** Finds the segment's flow. Returns its slot, and `#flow` names it; or < 0, as `TupleIndex.find` does. */
  #find(s: Segment): number {
    const cache = this.#cache
    const flow = this.#flow
    const cached = cache.find(s)
    if (cached >= 0) {
      flow.slot = cached
      flow.generation = cache.found.generation
      return cached
    }
    const { index } = this.#memory
    this.#counters[Counter.cacheMisses] += 1
    const slot = index.find(s)
    if (slot < 0) return slot
    flow.slot = slot
    flow.generation = index.generation
    cache.learn(s, flow)
    return slot
  }

  /** Handles a packet that is not TCP: it may be a router's message. Returns the counter to raise. */
  #notTcp({ bytes, at, length }: Packet, now: number): number {
    return this.#pathMtu.receive(bytes, at + this.#memory.shared.device.virtioSize, at + length, now)
  }

  /** Handles a segment of an opening as if it came now. */
  #replay({ tuple }: Opening, held: HeldPayload & { flags: number }, flow: FlowId, now: number): void {
    const s = this.#classifier.segment
    s.family = tuple.family
    s.ports = tuple.ports
    s.r0 = tuple.r0
    s.r1 = tuple.r1
    s.r2 = tuple.r2
    s.r3 = tuple.r3
    s.flags = held.flags
    s.seq = held.seq
    s.ack = held.ack
    s.payload.over(held.bytes, held.segmentSize)
    this.#established(s, flow, now)
  }

  /** Handles a segment of an established connection. */
  #established(s: Segment, flow: FlowId, now: number): void {
    if ((s.flags & kinds) !== Flag.ack) {
      this.#unusual(s, flow, now)
      return
    }
    const { slot } = flow
    const { payload } = s
    const { flows } = this.#memory
    const { words } = flows
    const base = flows.base(slot)
    const acked = distance(Atomics.load(words, base + Field.nextSeq), s.ack)
    if (acked > 0 || acked < -ackWindow) {
      this.#counters[acked > 0 ? Counter.ackOfUnsentData : Counter.ackTooOld] += 1
      return
    }
    const offset = distance(Atomics.load(words, base + Field.nextAck), s.seq)
    const end = (s.seq + payload.length) | 0
    if (offset > window || offset < -window) {
      // Outside of the window: either a forged segment, or the path has lost more than a window. Resynchronise if this
      // segment continues the last one outside of the window.
      const expected = Atomics.load(words, base + Field.resync)
      if (payload.length === 0 || expected === 0 || expected !== (s.seq | 0)) {
        if (payload.length > 0) Atomics.store(words, base + Field.resync, end)
        this.#counters[Counter.seqOutOfWindow] += 1
        return
      }
      Atomics.store(words, base + Field.resync, 0)
      Atomics.store(words, base + Field.nextAck, end)
      // At once: if the jump was longer than 2^31, serial arithmetic sees nothing to acknowledge.
      this.#egress.ack(slot, now)
    } else if (offset + payload.length > 0) {
      flows.advance(slot, Field.nextAck, end)
    }
    flows.advance(slot, Field.peerAck, s.ack)
    Atomics.store(words, base + Field.lastSeen, now | 0)
    if (payload.length === 0) {
      // A probe's sequence number lies just before the one we expect (docs/protocol.md). It gets an answer.
      if (offset < 0 && offset >= -3) this.#challenges.send(slot, now, 0)
      return
    }
    this.#count(slot, payload)
    this.#acknowledge(slot, end, now)
    this.#hooks.deliver(flow, payload)
  }

  /** Counts received datagrams, for the flow and for the stack. */
  #count(slot: number, payload: Span): void {
    const { count, length } = payload
    const { flows } = this.#memory
    flows.bump(slot, Field.datagramsIn, count)
    flows.bump(slot, Field.bytesIn, length)
    const counters = this.#counters
    counters[Counter.datagramsIn] += count
    counters[Counter.bytesIn] += length
    if (count > 1) counters[Counter.superPacketsIn] += 1
  }

  /** Data up to `end` has come: sends a bare ACK now, or leaves it to `AckSchedule`. */
  #acknowledge(slot: number, end: number, now: number): void {
    const { flows } = this.#memory
    const owed = distance(flows.load(slot, Field.sentAck), end)
    const received = flows.load(slot, Field.bytesIn) >>> 0
    if (ackIsDue(owed, received, (now - flows.load(slot, Field.sentAckAt)) | 0)) this.#egress.ack(slot, now)
    else if (owed > 0) this.#hooks.owesAck(slot)
  }

  /** Handles a segment of an established connection that is neither data nor a bare ACK. */
  #unusual(s: Segment, { slot, generation }: FlowId, now: number): void {
    const { flows } = this.#memory
    if ((s.flags & Flag.rst) !== 0) {
      // Only the exact number resets (RFC 5961 §3.2). To any other RST we answer with a challenge. A peer that really
      // closed answers that with a RST that has the exact number.
      const offset = distance(flows.load(slot, Field.nextAck), s.seq)
      if (offset === 0) {
        this.#hooks.report({ kind: 'reset', slot, generation })
        return
      }
      this.#counters[Counter.resetNotExact] += 1
      this.#challenges.sendOrDefer({ slot, generation }, now, 1)
      return
    }
    this.#counters[Counter.unexpectedFlags] += 1
    // The peer of a repeated SYN+ACK has not got our ACK. A SYN may come from a peer that has restarted (RFC 5961
    // §4.2). Both learn our numbers from the answer.
    if ((s.flags & Flag.syn) !== 0) this.#challenges.send(slot, now, (s.flags & Flag.ack) !== 0 ? 0 : 1)
  }

  /** Handles a segment of a connection in state synSent. */
  #synSent(s: Segment, { slot, generation }: FlowId): void {
    const kind = s.flags & kinds
    if (kind === (Flag.syn | Flag.ack) && s.ack === 1) {
      this.#hooks.report({ kind: 'synAck', slot, generation, seq: s.seq })
    } else if ((kind & Flag.rst) !== 0 && s.ack <= 1) {
      // A stock peer's RST acknowledges 0, not 1: it does not count the SYN.
      this.#hooks.report({ kind: 'refused', slot, generation })
    } else {
      this.#counters[Counter.strayHandshake] += 1
    }
  }

  /** Keeps a segment until the coordinator has answered the handshake. */
  #hold(opening: Opening, s: Segment): void {
    if ((s.flags & Flag.rst) !== 0) opening.reset = s.seq
    else if ((s.flags & kinds) !== Flag.ack) this.#counters[Counter.unexpectedFlags] += 1
    else if (!this.#openings.hold(opening, s)) this.#counters[Counter.openingFull] += 1
  }

  /** Handles a segment that belongs to no connection. */
  #stranger(s: Segment, now: number): void {
    const kind = s.flags & kinds
    if ((kind & Flag.rst) !== 0) {
      this.#counters[Counter.strayReset] += 1
      this.#alarm.refused(now)
      return
    }
    const listening = listeningPorts.isListening(this.#memory.listening, s.localPort)
    if (listening && kind === Flag.syn) {
      if (s.seq === 0) {
        const refused = this.#synGuard.refuses(s, now)
        if (refused >= 0) {
          this.#counters[refused] += 1
          return
        }
        const cookie = this.#cookies.make(s, now)
        this.#egress.answer(this.#queue, s, Flag.syn | Flag.ack, cookie, 1)
        this.#counters[Counter.synCookiesOut] += 1
      } else {
        this.#counters[Counter.synBadSeq] += 1
        this.#refuse(s, now, 0)
      }
      return
    }
    if (listening && kind === Flag.ack) {
      const cookie = this.#cookies.check(s, s.ack, now)
      // The third packet has sequence number 1. It may be lost, and datagrams after it; then a later one completes the
      // handshake.
      if (cookie >= 0 && s.seq - 1 <= window) {
        this.#beginOpening(s, cookie, now)
        return
      }
    }
    this.#counters[Counter.unknownTuple] += 1
    this.#alarm.refused(now)
    this.#refuse(s, now, s.ack)
  }

  /** A segment with a valid cookie: reports the handshake, and holds what comes until the coordinator answers. */
  #beginOpening(s: Segment, cookie: number, now: number): void {
    const key = Openings.key(s)
    const opening = this.#openings.begin(key, s, now)
    if (opening === undefined) {
      this.#counters[Counter.openingFull] += 1
      return
    }
    this.#hold(opening, s)
    this.#hooks.report({ kind: 'handshake', tuple: opening.tuple, key, seq: s.seq, ack: cookie + 1 })
  }

  /** Sends RST|ACK as a real TCP does: it acknowledges the payload, and one number more for SYN or FIN. */
  #refuse(s: Segment, now: number, seq: number): void {
    // At the start the listener may be about to begin. At the end the next program may be about to listen. In both
    // cases the peer should try again, so it must not get a RST.
    if (Atomics.load(this.#memory.switches, Switch.answering) === 0) {
      this.#counters[Counter.notYetListening] += 1
      return
    }
    if (!this.#strangers.take(now)) {
      this.#counters[Counter.replyRateLimited] += 1
      return
    }
    const control = (s.flags & (Flag.syn | Flag.fin)) !== 0 ? 1 : 0
    this.#egress.answer(this.#queue, s, Flag.rst | Flag.ack, seq, (s.seq + s.payload.length + control) >>> 0)
    this.#counters[Counter.resetsOut] += 1
  }
}

const nothing = new Uint8Array(0)
