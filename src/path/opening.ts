import type { Tuple } from './messages.js'
import type { Segment } from './segment.js'

/** Payload that came with or after the third packet of a handshake, while the coordinator makes the connection. */
export interface Opening {
  readonly key: string
  readonly tuple: Tuple
  readonly since: number
  /** Numbers of the packet that asked. */
  readonly seq: number
  readonly ack: number
  readonly held: HeldPayload[]
  bytes: number
  /** Sequence number of a RST: the peer has closed before the connection exists. */
  reset?: number
}

export interface HeldPayload {
  readonly bytes: Uint8Array
  readonly segmentSize: number
  readonly seq: number
  readonly ack: number
}

/** A few hundred bytes each; they come from real sources, as their cookies have shown. */
const maxOpenings = 16_384
/** A flow at full rate fills this in the milliseconds the coordinator takes. */
const maxHeldBytes = 1024 * 1024
const maxHeldInAll = 16 * 1024 * 1024
/** An answer that takes longer is not coming: the coordinator's queue lost it or the thread is stuck. */
const patienceMs = 5_000

/**
 * Connections between a valid cookie and the coordinator's answer. Everything that arrives on such a tuple waits here, so that
 * order is kept whoever consumes the flow. Bounded in number and bytes.
 */
export class Openings {
  readonly #waiting = new Map<string, Opening>()
  #heldInAll = 0

  get size(): number {
    return this.#waiting.size
  }

  static key(s: Segment): string {
    return `${s.ports},${s.r0},${s.r1},${s.r2},${s.r3},${s.family}`
  }

  get(key: string): Opening | undefined {
    return this.#waiting.get(key)
  }

  /** Undefined when too many connections are opening already. */
  begin(key: string, s: Segment, now: number): Opening | undefined {
    if (this.#waiting.size >= maxOpenings) this.#expire(now)
    if (this.#waiting.size >= maxOpenings) return undefined
    const tuple: Tuple = { family: s.family, ports: s.ports, remote: [s.r0, s.r1, s.r2, s.r3] }
    const opening: Opening = { key, tuple, since: now, seq: s.seq, ack: s.ack, held: [], bytes: 0 }
    this.#waiting.set(key, opening)
    return opening
  }

  /** Keeps a copy of the segment's payload; false when there is no room for it. */
  hold(opening: Opening, s: Segment, bytes: Uint8Array): boolean {
    const { payloadLength } = s
    if (payloadLength === 0) return true
    if (opening.bytes + payloadLength > maxHeldBytes || this.#heldInAll + payloadLength > maxHeldInAll) return false
    opening.held.push({
      bytes: bytes.slice(s.payloadAt, s.payloadAt + s.payloadLength),
      segmentSize: s.segmentSize,
      seq: s.seq,
      ack: s.ack,
    })
    opening.bytes += payloadLength
    this.#heldInAll += payloadLength
    return true
  }

  finish(key: string): Opening | undefined {
    const opening = this.#waiting.get(key)
    if (opening !== undefined) this.#heldInAll -= opening.bytes
    this.#waiting.delete(key)
    return opening
  }

  /** All of them, for good. */
  finishAll(): Opening[] {
    const openings = [...this.#waiting.values()]
    this.#waiting.clear()
    this.#heldInAll = 0
    return openings
  }

  #expire(now: number): void {
    // The oldest comes first.
    for (const [key, opening] of this.#waiting) {
      if (now - opening.since <= patienceMs) return
      this.finish(key)
    }
  }
}
