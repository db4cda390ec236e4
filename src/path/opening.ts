import type { Tuple } from '../memory/tuple.js'
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

/** What one segment brought. */
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
 * Connections between a valid cookie and the coordinator's answer. Everything that arrives on such a tuple waits here,
 * so that order is kept whoever consumes the flow. Bounded in number and bytes.
 */
export class Openings {
  readonly #waiting = new Map<string, Opening>()
  #heldInAll = 0

  get size(): number {
    return this.#waiting.size
  }

  static key({ family, ports, r0, r1, r2, r3 }: Tuple): string {
    return `${ports},${r0},${r1},${r2},${r3},${family}`
  }

  get(key: string): Opening | undefined {
    return this.#waiting.get(key)
  }

  /** Undefined when too many connections are opening already. */
  begin(key: string, s: Segment, now: number): Opening | undefined {
    if (this.#waiting.size >= maxOpenings) this.#expire(now)
    if (this.#waiting.size >= maxOpenings) return undefined
    const { family, ports, r0, r1, r2, r3, seq, ack } = s
    const opening: Opening = { key, tuple: { family, ports, r0, r1, r2, r3 }, since: now, seq, ack, held: [], bytes: 0 }
    this.#waiting.set(key, opening)
    return opening
  }

  /** Keeps a copy of the segment's payload; false when there is no room for it. */
  hold(opening: Opening, { seq, ack, payload }: Segment): boolean {
    const { bytes, at, length, segmentSize } = payload
    if (length === 0) return true
    if (opening.bytes + length > maxHeldBytes || this.#heldInAll + length > maxHeldInAll) return false
    opening.held.push({ bytes: bytes.slice(at, at + length), segmentSize, seq, ack })
    opening.bytes += length
    this.#heldInAll += length
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
