/** Limits of each source: datagrams, their bytes, and milliseconds until a datagram expires. */
const maxHeld = 256
const maxHeldBytes = 256 * 1024
const maxHeldMs = 30_000
/** Limit of all sources of one worker together, in bytes of memory. */
const maxHeldTogether = 32 * 1024 * 1024
/** Estimate of the memory that a held datagram takes in addition to its own bytes, in bytes. */
const overhead = 256

/**
 * Memory that all sources of one worker share for held datagrams. The limit of each source is not enough: while the
 * server is away thousands of sources may hold datagrams.
 */
export class HeldRoom {
  /** Bytes that are still free. */
  left = maxHeldTogether
}

/**
 * Datagrams of one UDP source that wait, in order, until its connection is open. New ones are refused when a limit is
 * reached; old ones expire.
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

  /** Keeps `bytes` itself, not a copy. False when a limit is reached. `now` in milliseconds. */
  add(bytes: Uint8Array, now: number): boolean {
    const cost = bytes.length + overhead
    if (this.#datagrams.length === maxHeld || this.#bytes + bytes.length > maxHeldBytes) return false
    if (cost > this.#room.left) return false
    this.#datagrams.push({ bytes, at: now })
    this.#bytes += bytes.length
    this.#room.left -= cost
    return true
  }

  /** Drops expired datagrams, and returns their number. `now` in milliseconds. */
  expire(now: number): number {
    const datagrams = this.#datagrams
    const kept = datagrams.filter(({ at }) => now - at < maxHeldMs)
    const expired = datagrams.length - kept.length
    if (expired === 0) return 0
    this.#clear()
    for (const { bytes, at } of kept) this.add(bytes, at)
    return expired
  }

  /** Removes and returns all datagrams, oldest first. */
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
