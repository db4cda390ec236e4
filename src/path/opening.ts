import type { Tuple } from '../memory/tuple.js'
import type { Segment } from './segment.js'

/** A connection between its valid cookie and the coordinator's answer, with the payload that has come meanwhile. */
export interface Opening {
  readonly key: string
  readonly tuple: Tuple
  /** When it began, in milliseconds. */
  readonly since: number
  /** Numbers of the packet with the cookie. */
  readonly seq: number
  readonly ack: number
  readonly held: HeldPayload[]
  /** Bytes held. */
  bytes: number
  /** Sequence number of a RST, if one has come: the peer has closed already. */
  reset?: number
}

/** The payload and the numbers of one segment. */
export interface HeldPayload {
  readonly bytes: Uint8Array
  readonly segmentSize: number
  readonly seq: number
  readonly ack: number
}

/** The most openings. Each takes a few hundred bytes, and its source is real, as the cookie has shown. */
const maxOpenings = 16_384
/** The most bytes held for one opening: what a fast flow brings while the coordinator takes a few milliseconds. */
const maxHeldBytes = 1024 * 1024
/** The most bytes held for all openings. */
const maxHeldInAll = 16 * 1024 * 1024
/** When there is no room for another opening, those that have waited longer than this for an answer are dropped. */
const timeoutMs = 5_000

/**
 * The openings of one worker. Everything that arrives on their tuples waits here, so that its order is kept in
 * whichever thread the flow's consumer will be. Their number and their bytes are bounded.
 */
export class Openings {
  readonly #waiting = new Map<string, Opening>()
  #heldInAll = 0

  get size(): number {
    return this.#waiting.size
  }

  /** The key of a tuple's opening. */
  static key({ family, ports, r0, r1, r2, r3 }: Tuple): string {
    return `${ports},${r0},${r1},${r2},${r3},${family}`
  }

  get(key: string): Opening | undefined {
    return this.#waiting.get(key)
  }

  /** Begins an opening. Undefined when there are too many. */
  begin(key: string, s: Segment, now: number): Opening | undefined {
    if (this.#waiting.size >= maxOpenings) this.#expire(now)
    if (this.#waiting.size >= maxOpenings) return undefined
    const { family, ports, r0, r1, r2, r3, seq, ack } = s
    const opening: Opening = { key, tuple: { family, ports, r0, r1, r2, r3 }, since: now, seq, ack, held: [], bytes: 0 }
    this.#waiting.set(key, opening)
    return opening
  }

  /** Keeps a copy of the segment's payload. False when there is no room for it. */
  hold(opening: Opening, { seq, ack, payload }: Segment): boolean {
    const { bytes, at, length, segmentSize } = payload
    if (length === 0) return true
    if (opening.bytes + length > maxHeldBytes || this.#heldInAll + length > maxHeldInAll) return false
    opening.held.push({ bytes: bytes.slice(at, at + length), segmentSize, seq, ack })
    opening.bytes += length
    this.#heldInAll += length
    return true
  }

  /** Removes an opening and returns it. */
  finish(key: string): Opening | undefined {
    const opening = this.#waiting.get(key)
    if (opening !== undefined) this.#heldInAll -= opening.bytes
    this.#waiting.delete(key)
    return opening
  }

  /** Removes all openings and returns them. */
  finishAll(): Opening[] {
    const openings = [...this.#waiting.values()]
    this.#waiting.clear()
    this.#heldInAll = 0
    return openings
  }

  #expire(now: number): void {
    // A Map keeps the order of insertion, so the oldest comes first.
    for (const [key, opening] of this.#waiting) {
      if (now - opening.since <= timeoutMs) return
      this.finish(key)
    }
  }
}
