import { FloodAlarm } from '../flood/flood-alarm.js'
import { SynCookies } from '../flood/syn-cookie.js'
import { SynGuard } from '../flood/syn-guard.js'
import { TokenBucket } from '../flood/token-bucket.js'
import { Counter, type CounterPage } from '../memory/counters.js'
import { Field, State } from '../memory/flow-table.js'
import { ports, type StackMemory, Switch } from '../memory/shared-stack.js'
import { Lookup } from '../memory/tuple-index.js'
import { distance } from '../wire/serial.js'
import { Flag } from '../wire/tcp.js'
import { Challenges } from './challenges.js'
import type { Egress } from './egress.js'
import type { Report } from './messages.js'
import { type Opening, Openings } from './opening.js'
import { PathMtu } from './path-mtu.js'
import type { Classifier, Segment } from './segment.js'
import { TupleCache } from './tuple-cache.js'

/** A segment may lie this far before or after the next expected byte; further off, a second one in sequence must vouch for it. */
const window = 64 * 1024 * 1024
/**
 * What a peer acknowledges may lie this far back (RFC 5961 §5.2): stock peers acknowledge the last packet they saw, which is never
 * older than what is on its way. Together with the window above, a blind segment is believed once in 500 times.
 */
const ackWindow = 256 * 1024 * 1024
/**
 * When a flow that only receives sends a bare ACK: after this many bytes, but not sooner than `ackPause` after the last one. If it gets
 * less, `AckSchedule` sends one after a delay.
 */
const ackEvery = 1024 * 1024
/** Milliseconds between two bare ACKs of a fast flow: each wakes a thread at the other end. */
const ackPause = 10
/** After this many bytes a bare ACK leaves whatever the clock says: a stock peer's window is 1 GiB. */
const ackAtOnce = 16 * 1024 * 1024
/**
 * The first of them at once in small steps: until a server has sent a packet that is no SYN+ACK, conntrack takes its window for 64 KiB, without the
 * scale, and drops what lies beyond. (Measured: half of a one-way flow's first second was lost behind a strict NAT.)
 */
const ackEarly = 32 * 1024
/** Answers to packets that belong to nothing, per second and worker. */
const strangerRate = 1_000

const kinds = Flag.fin | Flag.syn | Flag.rst | Flag.ack

export interface InboundHooks {
  /** Hands datagrams to whoever consumes the flow. */
  deliver(slot: number, generation: number, s: Segment): void
  report(report: Report): void
  /** The flow has unacknowledged data. */
  owesAck(slot: number): void
  /** Calls `act` in `ms` milliseconds, unless the worker has stopped. */
  after(ms: number, act: (now: number) => void): void
}

/**
 * The inbound path of one queue (docs/architecture.md, steps 2 – 5): check, find the flow, move its numbers, deliver. What belongs to
 * no flow is answered here or reported to the coordinator, never both.
 */
export class Inbound {
  readonly openings = new Openings()
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
  readonly #remote = new Int32Array(4)

  constructor(
    queue: number,
    memory: StackMemory,
    counters: CounterPage,
    classifier: Classifier,
    egress: Egress,
    hooks: InboundHooks,
  ) {
    this.#queue = queue
    this.#memory = memory
    this.#counters = counters
    this.#classifier = classifier
    this.#egress = egress
    this.#hooks = hooks
    this.#challenges = new Challenges(memory.flows, egress, hooks.after)
    this.#cache = new TupleCache(memory.flows, 16_384)
    this.#cookies = new SynCookies(memory.shared.cookieKey)
    this.#synGuard = new SynGuard(memory.shared.cookieKey, () => hooks.report({ kind: 'flood', syns: true }))
    this.#alarm = new FloodAlarm(() => hooks.report({ kind: 'flood', syns: false }))
    this.#pathMtu = new PathMtu(memory, hooks.report)
  }

  /** One packet as it was read: `length` bytes at `at` of `bytes`, which is the arena `arena`; `sum` as for `Classifier.parse`. */
  packet(bytes: Uint8Array, arena: number, at: number, length: number, now: number, sum = -1): void {
    const counters = this.#counters
    counters[Counter.packetsIn] += 1
    const refused = this.#classifier.parse(bytes, arena, at, length, sum)
    if (refused >= 0) {
      // What is not TCP may be news of the path.
      const ip = at + this.#memory.shared.device.virtioSize
      const why = refused === Counter.otherProtocol ? this.#pathMtu.heed(bytes, ip, at + length, now) : refused
      counters[why] += 1
      this.#alarm.refused(now)
      return
    }
    const s = this.#classifier.segment
    const cache = this.#cache
    let slot = cache.find(s)
    let generation = cache.generation
    if (slot < 0) {
      counters[Counter.cacheMisses] += 1
      slot = this.#memory.index.find(s.family, s.ports, s.r0, s.r1, s.r2, s.r3)
      if (slot === Lookup.contended) {
        counters[Counter.indexContended] += 1
        return
      }
      if (slot >= 0) {
        generation = this.#memory.index.generation
        cache.learn(s, slot, generation)
      }
    }
    if (this.openings.size > 0) {
      const opening = this.openings.get(Openings.key(s))
      if (opening !== undefined) {
        this.#hold(opening, s, bytes)
        return
      }
    }
    // The coordinator may end the connection at this very moment: then its slot is free, and the packet a stranger's.
    const state = slot < 0 ? State.free : this.#memory.flows.load(slot, Field.state)
    if (state === State.established) this.#established(s, slot, generation, now)
    else if (state === State.synSent) this.#halfOpen(s, slot, generation)
    else this.#stranger(s, bytes, now)
  }

  /** What was held while the flow was opening, as if it came now. */
  replay(
    opening: Opening,
    slot: number,
    generation: number,
    now: number,
    restore: (held: Uint8Array, s: Segment) => void,
  ): void {
    if (!this.#memory.flows.alive(slot, generation)) {
      // It ended meanwhile, and its slot may be another connection's by now.
      for (const held of opening.held) {
        this.#counters[Counter.flowGone] += Math.ceil(held.bytes.length / held.segmentSize)
      }
      return
    }
    const s = this.#classifier.segment
    s.family = opening.tuple.family
    s.ports = opening.tuple.ports
    for (const held of opening.held) {
      s.flags = Flag.ack
      s.seq = held.seq
      s.ack = held.ack
      s.segmentSize = held.segmentSize
      s.payloadLength = held.bytes.length
      restore(held.bytes, s)
      this.#established(s, slot, generation, now)
    }
    if (opening.reset === undefined) return
    s.flags = Flag.rst
    s.seq = opening.reset
    s.payloadLength = 0
    this.#established(s, slot, generation, now)
  }

  #established(s: Segment, slot: number, generation: number, now: number): void {
    if ((s.flags & kinds) !== Flag.ack) {
      this.#unusual(s, slot, generation, now)
      return
    }
    const { flows } = this.#memory
    const { words } = flows
    const base = flows.base(slot)
    const acked = distance(Atomics.load(words, base + Field.nextSeq), s.ack)
    if (acked > 0 || acked < -ackWindow) {
      this.#counters[acked > 0 ? Counter.ackOfUnsentData : Counter.ackTooOld] += 1
      return
    }
    const offset = distance(Atomics.load(words, base + Field.nextAck), s.seq)
    const end = (s.seq + s.payloadLength) | 0
    if (offset > window || offset < -window) {
      // Resynchronisation: a gap this wide is either a forgery or a long silence of the path. Two far segments in sequence settle it.
      const expected = Atomics.load(words, base + Field.resync)
      if (s.payloadLength === 0 || expected === 0 || expected !== (s.seq | 0)) {
        if (s.payloadLength > 0) Atomics.store(words, base + Field.resync, end)
        this.#counters[Counter.seqOutOfWindow] += 1
        return
      }
      Atomics.store(words, base + Field.resync, 0)
      Atomics.store(words, base + Field.nextAck, end)
      // At once: by serial arithmetic a jump beyond 2^31 owes nothing.
      this.#egress.ack(slot, now)
    } else if (offset + s.payloadLength > 0) {
      flows.advance(slot, Field.nextAck, end)
    }
    flows.advance(slot, Field.peerAck, s.ack)
    Atomics.store(words, base + Field.lastSeen, now | 0)
    if (s.payloadLength === 0) {
      // A probe asks for an answer by a sequence number just before the one we expect (docs/protocol.md).
      if (offset < 0 && offset >= -3) this.#challenges.send(slot, now, 0)
      return
    }
    const count = s.payloadLength <= s.segmentSize ? 1 : Math.ceil(s.payloadLength / s.segmentSize)
    flows.bump(slot, Field.datagramsIn, count)
    flows.bump(slot, Field.bytesIn, s.payloadLength)
    const counters = this.#counters
    counters[Counter.datagramsIn] += count
    counters[Counter.bytesIn] += s.payloadLength
    if (count > 1) counters[Counter.superPacketsIn] += 1
    const owed = distance(Atomics.load(words, base + Field.sentAck), end)
    const early = owed >= ackEarly && flows.load(slot, Field.bytesIn) >>> 0 <= ackEvery
    if (
      early ||
      owed >= ackAtOnce ||
      (owed >= ackEvery && ((now - flows.load(slot, Field.sentAckAt)) | 0) >= ackPause)
    ) {
      this.#egress.ack(slot, now)
    } else if (owed > 0) this.#hooks.owesAck(slot)
    this.#hooks.deliver(slot, generation, s)
  }

  /** Anything but data or a bare ACK on an established connection. */
  #unusual(s: Segment, slot: number, generation: number, now: number): void {
    const { flows } = this.#memory
    if ((s.flags & Flag.rst) !== 0) {
      // RFC 5961 §3.2: only the exact number resets. Otherwise ask: a peer that is gone answers the challenge with the right one.
      const offset = distance(flows.load(slot, Field.nextAck), s.seq)
      if (offset === 0) {
        this.#hooks.report({ kind: 'reset', slot, generation })
        return
      }
      this.#counters[Counter.resetNotExact] += 1
      this.#challenges.sendSurely(slot, generation, now, 1)
      return
    }
    this.#counters[Counter.unexpectedFlags] += 1
    // A repeated SYN+ACK lost our ACK; a SYN may come from a peer that started anew (RFC 5961 §4.2). Both get the true numbers.
    if ((s.flags & Flag.syn) !== 0) this.#challenges.send(slot, now, (s.flags & Flag.ack) !== 0 ? 0 : 1)
  }

  #halfOpen(s: Segment, slot: number, generation: number): void {
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

  #hold(opening: Opening, s: Segment, bytes: Uint8Array): void {
    if ((s.flags & Flag.rst) !== 0) opening.reset = s.seq
    else if ((s.flags & kinds) !== Flag.ack) this.#counters[Counter.unexpectedFlags] += 1
    else if (!this.openings.hold(opening, s, bytes)) this.#counters[Counter.openingFull] += 1
  }

  /** A segment without a connection. */
  #stranger(s: Segment, bytes: Uint8Array, now: number): void {
    const kind = s.flags & kinds
    if ((kind & Flag.rst) !== 0) {
      this.#counters[Counter.strayReset] += 1
      this.#alarm.refused(now)
      return
    }
    const listening = ports.isListening(this.#memory.listening, s.localPort)
    if (listening && kind === Flag.syn) {
      if (s.seq === 0) {
        const refused = this.#synGuard.refuses(s, now)
        if (refused >= 0) {
          this.#counters[refused] += 1
          return
        }
        const cookie = this.#cookies.make(s.ports, s.r0, s.r1, s.r2, s.r3, now)
        this.#answer(s, Flag.syn | Flag.ack, cookie, 1)
        this.#counters[Counter.synCookiesOut] += 1
      } else {
        this.#counters[Counter.synBadSeq] += 1
        this.#refuse(s, now, 0)
      }
      return
    }
    if (listening && kind === Flag.ack) {
      const cookie = this.#cookies.check(s.ports, s.r0, s.r1, s.r2, s.r3, s.ack, now)
      // The client has sent nothing before this handshake but what may have been lost on the way.
      if (cookie >= 0 && s.seq - 1 <= window) {
        this.#open(s, bytes, cookie, now)
        return
      }
    }
    this.#counters[Counter.unknownTuple] += 1
    this.#alarm.refused(now)
    this.#refuse(s, now, s.ack)
  }

  #open(s: Segment, bytes: Uint8Array, cookie: number, now: number): void {
    const key = Openings.key(s)
    const opening = this.openings.begin(key, s, now)
    if (opening === undefined) {
      this.#counters[Counter.openingFull] += 1
      return
    }
    this.#hold(opening, s, bytes)
    this.#hooks.report({ kind: 'open', tuple: opening.tuple, key, seq: s.seq, ack: cookie + 1 })
  }

  /** RST|ACK that a real TCP would understand too: it acknowledges the payload, and one for SYN or FIN. */
  #refuse(s: Segment, now: number, seq: number): void {
    // The listener that this packet is for may be there in a moment, here or, when we end, in the program after us: its peer must not
    // hear that there is none.
    if (Atomics.load(this.#memory.switches, Switch.answering) === 0) {
      this.#counters[Counter.notYetListening] += 1
      return
    }
    if (!this.#strangers.take(now)) {
      this.#counters[Counter.replyRateLimited] += 1
      return
    }
    const control = (s.flags & (Flag.syn | Flag.fin)) !== 0 ? 1 : 0
    this.#answer(s, Flag.rst | Flag.ack, seq, (s.seq + s.payloadLength + control) >>> 0)
    this.#counters[Counter.resetsOut] += 1
  }

  #answer(s: Segment, flags: number, seq: number, ack: number): void {
    const remote = this.#remote
    remote[0] = s.r0
    remote[1] = s.r1
    remote[2] = s.r2
    remote[3] = s.r3
    this.#egress.answer(this.#queue, s.family, s.ports, remote, flags, seq, ack)
  }
}
