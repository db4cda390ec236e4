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
 * A segment may lie this far before or after the next expected byte; further off, a second one in sequence must vouch
 * for it.
 */
const window = 64 * 1024 * 1024
/**
 * What a peer acknowledges may lie this far back (RFC 5961 §5.2): stock peers acknowledge the last packet they saw,
 * which is never older than what is on its way. Together with the window above, a blind segment is believed once in 500
 * times.
 */
const ackWindow = 256 * 1024 * 1024

const kinds = Flag.fin | Flag.syn | Flag.rst | Flag.ack

export interface InboundHooks {
  /** Hands datagrams to whoever consumes the flow. Both records are only valid during the call. */
  deliver(flow: FlowId, span: Span): void
  report(report: Report): void
  /** The flow has unacknowledged data. */
  owesAck(slot: number): void
  /** Calls `act` in `ms` milliseconds, unless the worker has stopped. */
  after(ms: number, act: (now: number) => void): void
}

/** What an inbound path works with. */
export interface InboundParts {
  readonly queue: number
  readonly memory: StackMemory
  readonly counters: CounterPage
  readonly egress: Egress
  /** Another one only in tests. */
  readonly classifier?: Classifier
}

/**
 * The inbound path of one queue (docs/architecture.md, steps 2 – 5): check, find the flow, move its numbers, deliver.
 * What belongs to no flow is answered here or reported to the coordinator, never both.
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
  /** The flow of the packet under way. */
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

  /** One packet as it was read; `now` in milliseconds. */
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
    // The coordinator may end the connection at this very moment: then its slot is free, and the packet a stranger's.
    const flow = this.#flow
    const state = known < 0 ? State.free : this.#memory.flows.load(flow.slot, Field.state)
    if (state === State.established) this.#established(s, flow, now)
    else if (state === State.synSent) this.#synSent(s, flow)
    else this.#stranger(s, now)
  }

  /**
   * The coordinator has answered a `handshake`: what was held while the flow was opening is taken as if it came now, in its
   * order. Nothing when the opening is not known (any more).
   */
  opened(key: string, flow: FlowId, now: number): void {
    const opening = this.#openings.finish(key)
    if (opening === undefined) return
    if (!this.#memory.flows.alive(flow)) {
      // It ended meanwhile, and its slot may be another connection's by now.
      for (const held of opening.held)
        this.#counters[Counter.flowGone] += datagramsIn(held.bytes.length, held.segmentSize)
      return
    }
    for (const held of opening.held) this.#replay(opening, { flags: Flag.ack, ...held }, flow, now)
    if (opening.reset === undefined) return
    this.#replay(opening, { flags: Flag.rst, seq: opening.reset, ack: 0, bytes: nothing, segmentSize: 0 }, flow, now)
  }

  /** The coordinator has turned a `handshake` down; `reset`: its peer is told. */
  turnedDown(key: string, reset: boolean): void {
    const opening = this.#openings.finish(key)
    if (opening !== undefined && reset) this.#egress.refuse(this.#queue, opening.tuple, opening.ack, opening.seq)
  }

  /**
   * No answer of the coordinator comes any more: these peers take their connection for open, and must hear that it
   * isn't.
   */
  close(): void {
    for (const { tuple, seq, ack } of this.#openings.finishAll()) this.#egress.refuse(this.#queue, tuple, ack, seq)
  }

  /** Slot of the segment's flow, and `#flow` names it; else < 0, as `TupleIndex.find`. */
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

  /** What is not TCP may be news of the path. The counter to raise. */
  #notTcp({ bytes, at, length }: Packet, now: number): number {
    return this.#pathMtu.heed(bytes, at + this.#memory.shared.device.virtioSize, at + length, now)
  }

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
      // Resynchronisation: a gap this wide is either a forgery or a long silence of the path. Two far segments in
      // sequence decide it.
      const expected = Atomics.load(words, base + Field.resync)
      if (payload.length === 0 || expected === 0 || expected !== (s.seq | 0)) {
        if (payload.length > 0) Atomics.store(words, base + Field.resync, end)
        this.#counters[Counter.seqOutOfWindow] += 1
        return
      }
      Atomics.store(words, base + Field.resync, 0)
      Atomics.store(words, base + Field.nextAck, end)
      // At once: by serial arithmetic a jump beyond 2^31 owes nothing.
      this.#egress.ack(slot, now)
    } else if (offset + payload.length > 0) {
      flows.advance(slot, Field.nextAck, end)
    }
    flows.advance(slot, Field.peerAck, s.ack)
    Atomics.store(words, base + Field.lastSeen, now | 0)
    if (payload.length === 0) {
      // A probe asks for an answer by a sequence number just before the one we expect (docs/protocol.md).
      if (offset < 0 && offset >= -3) this.#challenges.send(slot, now, 0)
      return
    }
    this.#count(slot, payload)
    this.#acknowledge(slot, end, now)
    this.#hooks.deliver(flow, payload)
  }

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

  /** Data up to `end` has come: a bare ACK leaves now, or later unless data of ours carries it. */
  #acknowledge(slot: number, end: number, now: number): void {
    const { flows } = this.#memory
    const owed = distance(flows.load(slot, Field.sentAck), end)
    const received = flows.load(slot, Field.bytesIn) >>> 0
    if (ackIsDue(owed, received, (now - flows.load(slot, Field.sentAckAt)) | 0)) this.#egress.ack(slot, now)
    else if (owed > 0) this.#hooks.owesAck(slot)
  }

  /** Anything but data or a bare ACK on an established connection. */
  #unusual(s: Segment, { slot, generation }: FlowId, now: number): void {
    const { flows } = this.#memory
    if ((s.flags & Flag.rst) !== 0) {
      // RFC 5961 §3.2: only the exact number resets. Otherwise ask: a peer that is gone answers the challenge with the
      // right one.
      const offset = distance(flows.load(slot, Field.nextAck), s.seq)
      if (offset === 0) {
        this.#hooks.report({ kind: 'reset', slot, generation })
        return
      }
      this.#counters[Counter.resetNotExact] += 1
      this.#challenges.sendSurely({ slot, generation }, now, 1)
      return
    }
    this.#counters[Counter.unexpectedFlags] += 1
    // A repeated SYN+ACK lost our ACK; a SYN may come from a peer that started anew (RFC 5961 §4.2). Both get the true
    // numbers.
    if ((s.flags & Flag.syn) !== 0) this.#challenges.send(slot, now, (s.flags & Flag.ack) !== 0 ? 0 : 1)
  }

  #synSent(s: Segment, { slot, generation }: FlowId): void {
    const kind = s.flags & kinds
    if (kind === (Flag.syn | Flag.ack) && s.ack === 1) {
      this.#hooks.report({ kind: 'synAck', slot, generation, seq: s.seq })
    } else if ((kind & Flag.rst) !== 0 && s.ack <= 1) {
      // A stock peer forgets to count the SYN: its RST acknowledges 0.
      this.#hooks.report({ kind: 'refused', slot, generation })
    } else {
      this.#counters[Counter.strayHandshake] += 1
    }
  }

  #hold(opening: Opening, s: Segment): void {
    if ((s.flags & Flag.rst) !== 0) opening.reset = s.seq
    else if ((s.flags & kinds) !== Flag.ack) this.#counters[Counter.unexpectedFlags] += 1
    else if (!this.#openings.hold(opening, s)) this.#counters[Counter.openingFull] += 1
  }

  /** A segment without a connection. */
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
      // The client has sent nothing before this handshake but what may have been lost on the way.
      if (cookie >= 0 && s.seq - 1 <= window) {
        this.#beginOpening(s, cookie, now)
        return
      }
    }
    this.#counters[Counter.unknownTuple] += 1
    this.#alarm.refused(now)
    this.#refuse(s, now, s.ack)
  }

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

  /** RST|ACK that a real TCP would understand too: it acknowledges the payload, and one for SYN or FIN. */
  #refuse(s: Segment, now: number, seq: number): void {
    // The listener that this packet is for may be there in a moment, here or, when we end, in the program after us: its
    // peer must not hear that there is none.
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
