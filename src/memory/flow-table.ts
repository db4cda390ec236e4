import type { Tuple } from './tuple.js'

/**
 * One fixed slot of shared memory per connection: who it is, where its numbers stand, and whether it still exists.
 *
 * The **generation** is the truth about identity. It is even while a slot holds one connection, odd while the slot is
 * free or being written, and different for every connection the slot ever held. Whoever remembers (slot, generation)
 * and finds another number there knows that the connection is gone, without being told.
 *
 * Fields lie on separate cache lines by who writes them for each packet, the receiver or the sender. Both touch
 * `sentAck`. 64-bit counters are two words, added with `bump`, so that any thread may count exactly.
 */

/**
 * What a slot is in. The coordinator alone moves it, and every thread sees that at its next look at the slot.
 *
 *              `connect`: SYN sent               SYN+ACK with the right ack
 *      free ─────────────────────────▶ synSent ──────────────────────────▶ established
 *      ▲  │                               │                                  ▲      │
 *      │  │        third packet of a handshake, with our cookie              │      │
 *      │  └──────────────────────────────────────────────────────────────────┘      │
 *      │                                  │ RST, timeout, aborted                   │ RST, `close`, dead peer
 *      └──────────────────────────────────┴─────────────────────────────────────────┘
 *
 * Leaving `free` publishes a new, even generation; coming back retires it, which makes it odd. A reader that remembers
 * the slot goes by the generation alone; it looks at the state to tell a handshake's packets from a connection's. The
 * worker that answered a SYN with a cookie keeps no state: an accepted connection has none before `established`.
 */
export const State = {
  free: 0,
  /** SYN sent, waiting for SYN+ACK. */
  synSent: 1,
  established: 2,
} as const

/** Word offsets within a slot. Times are CLOCK_MONOTONIC milliseconds, wrapping at 2^32. */
export const Field = {
  // Identity, written by the coordinator while the generation is odd. Three of them change later: `state` when a
  // handshake ends, `consumer` when the connection moves to another thread, `maxDatagram` when a router says that
  // packets are too big.
  generation: 0,
  state: 1,
  family: 2,
  /** remote port << 16 | local port */
  ports: 3,
  /** Four big-endian-valued words; IPv4 uses the first and leaves the rest 0. */
  remote: 4,
  local: 8,
  /** Queue that the flow's packets are written on. */
  homeQueue: 12,
  /** Thread that receives the flow's datagrams. */
  consumer: 13,
  /** Largest payload of one segment, in bytes. */
  maxDatagram: 14,
  /** Service that the flow belongs to, when its consumer is a queue worker; -1: none. */
  service: 15,
  // receiver: written by whichever worker read the packet
  nextAck: 16,
  lastSeen: 17,
  /**
   * A far-off segment ended here; the next one that starts here moves the window (resynchronisation). 0: there was
   * none.
   */
  resync: 18,
  lastChallenge: 19,
  datagramsIn: 20,
  bytesIn: 22,
  /** Datagrams its consumer had no room for. */
  overflow: 24,
  /** A router said that packets were too big: when, and where `nextSeq` and `ipId` stood. */
  mtuToldAt: 26,
  mtuToldSeq: 27,
  mtuToldId: 28,
  /** Highest ack received. */
  peerAck: 29,
  // sender: written by whoever sends
  nextSeq: 32,
  ipId: 33,
  /** Ack number in the packets being sent; moves in steps so that segments merge at the far end (GRO). */
  sentAck: 35,
  sentAckAt: 36,
  datagramsOut: 38,
  bytesOut: 40,
  // written once by the coordinator
  /** What the service called this connection when it asked for it; 0 for accepted ones. */
  token: 48,
} as const

const slotWords = 64

/** Names a connection: its slot, and the generation of that slot, which no other connection has. */
export interface FlowId {
  readonly slot: number
  readonly generation: number
}

/** A `FlowId` that its owner fills anew for each use: read it before you return. */
export class FlowRef implements FlowId {
  slot = -1
  generation = 0
}

export class FlowTable {
  readonly capacity: number
  readonly shared: SharedArrayBuffer
  readonly words: Int32Array

  static allocate(capacity: number): FlowTable {
    return new FlowTable(new SharedArrayBuffer(capacity * slotWords * 4))
  }

  /** Attaches to a table that another thread allocated. */
  constructor(shared: SharedArrayBuffer) {
    this.shared = shared
    this.words = new Int32Array(shared)
    this.capacity = this.words.length / slotWords
  }

  /** Word index of a slot, for use with `Field` on `words`. */
  base(slot: number): number {
    return slot * slotWords
  }

  load(slot: number, field: number): number {
    return Atomics.load(this.words, slot * slotWords + field)
  }

  store(slot: number, field: number, value: number): void {
    Atomics.store(this.words, slot * slotWords + field, value)
  }

  /** The tuple of whoever has the slot. */
  tuple(slot: number): Tuple {
    const { words } = this
    const base = slot * slotWords
    const remote = base + Field.remote
    return {
      family: words[base + Field.family],
      ports: words[base + Field.ports],
      r0: words[remote],
      r1: words[remote + 1],
      r2: words[remote + 2],
      r3: words[remote + 3],
    }
  }

  /** True while this still names the connection it named. */
  alive({ slot, generation }: FlowId): boolean {
    return Atomics.load(this.words, slot * slotWords) === generation
  }

  /** Reserves `length` bytes of sequence space; the first byte's number. Any thread. */
  takeSeq(slot: number, length: number): number {
    return Atomics.add(this.words, slot * slotWords + Field.nextSeq, length) >>> 0
  }

  /**
   * Gives sequence space back that was never written, unless somebody took more after it: then it stays a gap, as if
   * lost.
   */
  returnSeq(slot: number, seq: number, length: number): void {
    Atomics.compareExchange(this.words, slot * slotWords + Field.nextSeq, (seq + length) | 0, seq | 0)
  }

  /** Reserves `segments` IP identifications; the first one, 16 bits. Any thread. */
  takeIpId(slot: number, segments: number): number {
    return Atomics.add(this.words, slot * slotWords + Field.ipId, segments) & 0xffff
  }

  /** Moves a sequence-number field forward to `to` (serial arithmetic), never back. True when it moved. Any thread. */
  advance(slot: number, field: number, to: number): boolean {
    const at = slot * slotWords + field
    let seen = Atomics.load(this.words, at)
    while (((to - seen) | 0) > 0) {
      const now = Atomics.compareExchange(this.words, at, seen, to | 0)
      if (now === seen) return true
      seen = now
    }
    return false
  }

  /** Adds to a 64-bit counter. Any thread. */
  bump(slot: number, field: number, by: number): void {
    const at = slot * slotWords + field
    const before = Atomics.add(this.words, at, by) >>> 0
    if (before + by > 0xffffffff) Atomics.add(this.words, at + 1, 1)
  }

  /** Reads a 64-bit counter; exact up to 2^53. */
  count(slot: number, field: number): number {
    const at = slot * slotWords + field
    return Atomics.load(this.words, at + 1) * 2 ** 32 + (Atomics.load(this.words, at) >>> 0)
  }

  /** Coordinator only. From now on no reader takes the slot for the connection it held. */
  retire(slot: number): void {
    Atomics.or(this.words, slot * slotWords, 1)
  }

  /** Coordinator only, on a retired slot: zeroes everything but the generation; write the identity, then `publish`. */
  clear(slot: number): void {
    const at = slot * slotWords
    this.words.fill(0, at + 1, at + slotWords)
  }

  /** Coordinator only. The slot's new generation, even. */
  publish(slot: number): number {
    const at = slot * slotWords
    const generation = ((Atomics.load(this.words, at) | 1) + 1) | 0
    Atomics.store(this.words, at, generation)
    return generation
  }
}
