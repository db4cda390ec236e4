/** What is kept of a UDP source's datagrams while its connection opens, and for how long. */
const maxHeld = 256
const maxHeldBytes = 256 * 1024
const maxHeldMs = 30_000
/** Bytes that all sources of one worker may hold together. */
const maxHeldTogether = 32 * 1024 * 1024
/** What a datagram costs besides its bytes. */
const overhead = 256

/**
 * Room for what the sources of one worker hold: each one is bounded, but there may be thousands while a server is away.
 */
export class HeldRoom {
  left = maxHeldTogether
}

/**
 * Datagrams of one UDP source that wait for its connection, in order and bounded: what comes when there is no room is
 * lost, and what is too old.
 */
export class Held {
  readonly #room: HeldRoom
  #datagrams: { bytes: Uint8Array; at: number }[] = []
  #bytes = 0

  constructor(room: HeldRoom) {
    this.#room = room
  }

  get size(): number {
    return this.#datagrams.length
  }

  /** Keeps this array. False when there is no room. */
  add(bytes: Uint8Array, now: number): boolean {
    const cost = bytes.length + overhead
    if (this.#datagrams.length === maxHeld || this.#bytes + bytes.length > maxHeldBytes) return false
    if (cost > this.#room.left) return false
    this.#datagrams.push({ bytes, at: now })
    this.#bytes += bytes.length
    this.#room.left -= cost
    return true
  }

  /** Drops what has waited for too long; how many. */
  expire(now: number): number {
    const datagrams = this.#datagrams
    const kept = datagrams.filter(({ at }) => now - at < maxHeldMs)
    const expired = datagrams.length - kept.length
    if (expired === 0) return 0
    this.#clear()
    for (const { bytes, at } of kept) this.add(bytes, at)
    return expired
  }

  /** All there is; nothing is left. */
  take(): Uint8Array[] {
    const all = this.#datagrams.map(({ bytes }) => bytes)
    this.#clear()
    return all
  }

  #clear(): void {
    this.#room.left += this.#bytes + overhead * this.#datagrams.length
    this.#datagrams = []
    this.#bytes = 0
  }
}
