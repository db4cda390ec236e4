import type { Tuple } from './tuple.js'

/**
 * The flow table: one slot of shared memory per connection, with its tuple, its sequence numbers and its counters.
 *
 * The **generation** identifies the connection. It is even while the slot holds a connection, and odd while the slot is
 * free or being written; it is 0 until the slot is first used. Every connection that gets the slot gets a new
 * generation. A thread that remembers slot and generation, and finds another generation there, knows that its
 * connection is gone. Nobody has to tell it.
 *
 * What the receiver of a packet writes and what the sender of one writes lie on separate cache lines. A bare ACK is the
 * exception: the receiver sends it, and writes `sentAck`, `sentAckAt` and `ipId`. 64-bit counters are two words each.
 * `bump` adds to them, so that any thread may count exactly.
 */

/**
 * The states of a connection. Only the coordinator changes them. Other threads see the change when they next read the
 * slot.
 *
 *              `connect`: SYN sent               SYN+ACK with the right ack
 *      free ─────────────────────────▶ synSent ──────────────────────────▶ established
 *      ▲  │                               │                                  ▲      │
 *      │  │        third packet of a handshake, with our cookie              │      │
 *      │  └──────────────────────────────────────────────────────────────────┘      │
 *      │                                  │ RST, timeout, aborted                   │ RST, `close`, dead peer
 *      └──────────────────────────────────┴─────────────────────────────────────────┘
 *
 * When a slot leaves `free` it gets a new, even generation; when it comes back its generation becomes odd. A reader
 * checks that its connection still exists by the generation alone. It needs the state only to tell the packets of a
 * handshake from those of an established connection. An accepted connection is `established` from the beginning: the
 * worker that answered its SYN with a cookie kept nothing.
 */
export const State = {
  free: 0,
  /** We have sent a SYN, and wait for the SYN+ACK. */
  synSent: 1,
  established: 2,
} as const

/** Word offsets within a slot. Times are CLOCK_MONOTONIC milliseconds, wrapping at 2^32. */
export const Field = {
  // Identity. The coordinator writes these words while the generation is odd. Three change later. The coordinator
  // changes `state` when the SYN+ACK comes, and `consumer` when the connection moves to another thread. A worker lowers
  // `maxDatagram` when a router reports that packets are too big.
  generation: 0,
  state: 1,
  family: 2,
  /** `remote port << 16 | local port`, signed. */
  ports: 3,
  /** The address, four signed words, most significant first. IPv4 uses the first one and leaves the rest 0. */
  remote: 4,
  /** The queue on which the flow's packets are written. */
  homeQueue: 12,
  /** Number of the thread that gets the flow's datagrams. */
  consumer: 13,
  /** Bytes of the largest payload that a segment may have. */
  maxDatagram: 14,
  /** Number of the service that the flow belongs to; -1: a socket has it. */
  service: 15,
  // Receiver: written by the worker that read the packet, which may be any of them.
  /** The next sequence number that we expect. */
  nextAck: 16,
  /** When the last segment came. */
  lastSeen: 17,
  /**
   * Where the last segment outside of the window ended. If the next one begins there, the window moves to it
   * (resynchronisation). 0: there was none.
   */
  resync: 18,
  /** When the last challenge ACK was sent; 0: never. */
  lastChallenge: 19,
  datagramsIn: 20,
  bytesIn: 22,
  /** Datagrams that arrived and were dropped, because the lane or the socket's receive queue was full. */
  overflow: 24,
  /**
   * When a router's first message came that packets were too big, and what `nextSeq` and `ipId` were then. 0: no
   * message waits for a second one (`PathMtu`).
   */
  mtuToldAt: 26,
  mtuToldSeq: 27,
  mtuToldId: 28,
  /** The highest number that the peer has acknowledged. */
  peerAck: 29,
  // Sender: written by the thread that sends, which may be any of them.
  /** Sequence number of the next byte that we send. */
  nextSeq: 32,
  /** IP identification of the next packet that we send, in the low 16 bits. */
  ipId: 33,
  /**
   * The acknowledgement number that we sent last (`ack-policy.ts` has the rules), and when it last moved or left in a
   * bare ACK.
   */
  sentAck: 35,
  sentAckAt: 36,
  datagramsOut: 38,
  bytesOut: 40,
  // Identity too.
  /** The number that the service passed to `connect`; 0 when the connection was accepted, or belongs to a socket. */
  token: 48,
} as const

const slotWords = 64

/** Identifies a connection: its slot, and the slot's generation, which no other connection in this slot has. */
export interface FlowId {
  readonly slot: number
  readonly generation: number
}

/** A `FlowId` that its owner fills again for each call. A callee copies what it needs before it returns. */
export class FlowRef implements FlowId {
  slot = -1
  generation = 0
}

/** One thread's view of the flow table. */
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

  /** Index in `words` of the slot's first word; add a `Field` to it. */
  base(slot: number): number {
    return slot * slotWords
  }

  load(slot: number, field: number): number {
    return Atomics.load(this.words, slot * slotWords + field)
  }

  store(slot: number, field: number, value: number): void {
    Atomics.store(this.words, slot * slotWords + field, value)
  }

  /** The tuple of the connection that has the slot. */
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

  /** Whether the connection still exists. */
  alive({ slot, generation }: FlowId): boolean {
    return Atomics.load(this.words, slot * slotWords) === generation
  }

  /** Any thread. Reserves `length` sequence numbers. Returns the first, unsigned. */
  takeSeq(slot: number, length: number): number {
    return Atomics.add(this.words, slot * slotWords + Field.nextSeq, length) >>> 0
  }

  /**
   * Any thread. Gives back sequence numbers that were reserved and not sent. If another thread has reserved more since,
   * they stay a gap, which the peer takes for lost packets.
   */
  returnSeq(slot: number, seq: number, length: number): void {
    Atomics.compareExchange(this.words, slot * slotWords + Field.nextSeq, (seq + length) | 0, seq | 0)
  }

  /** Any thread. Reserves `segments` IP identifications. Returns the first, 16 bits. */
  takeIpId(slot: number, segments: number): number {
    return Atomics.add(this.words, slot * slotWords + Field.ipId, segments) & 0xffff
  }

  /** Any thread. Moves a sequence-number field to `to` if that lies ahead (serial arithmetic). True when it moved. */
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

  /** Any thread. Adds to a 64-bit counter. */
  bump(slot: number, field: number, by: number): void {
    const at = slot * slotWords + field
    const before = Atomics.add(this.words, at, by) >>> 0
    if (before + by > 0xffffffff) Atomics.add(this.words, at + 1, 1)
  }

  /** Reads a 64-bit counter. Exact up to 2^53. */
  count(slot: number, field: number): number {
    const at = slot * slotWords + field
    return Atomics.load(this.words, at + 1) * 2 ** 32 + (Atomics.load(this.words, at) >>> 0)
  }

  /** Coordinator only. Makes the generation odd: from now on every thread sees that the connection is gone. */
  retire(slot: number): void {
    Atomics.or(this.words, slot * slotWords, 1)
  }

  /** Coordinator only, on a retired slot. Zeroes all but the generation. Write the identity next, then `publish`. */
  clear(slot: number): void {
    const at = slot * slotWords
    this.words.fill(0, at + 1, at + slotWords)
  }

  /** Coordinator only. Gives the slot a new, even generation, and returns it. */
  publish(slot: number): number {
    const at = slot * slotWords
    const generation = ((Atomics.load(this.words, at) | 1) + 1) | 0
    Atomics.store(this.words, at, generation)
    return generation
  }
}
