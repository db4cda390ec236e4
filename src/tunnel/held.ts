/** What is kept of a UDP source's datagrams while its connection opens, and for how long. */
const maxHeld = 256
const maxHeldBytes = 256 * 1024
const maxHeldMs = 30_000

/** Datagrams of one UDP source that wait for its connection, in order and bounded: what comes when there is no room is lost, and what is too old. */
export class Held {
  #datagrams: { bytes: Uint8Array; at: number }[] = []
  #bytes = 0

  get size(): number {
    return this.#datagrams.length
  }

  /** Keeps this array. False when there is no room. */
  add(bytes: Uint8Array, now: number): boolean {
    if (this.#datagrams.length === maxHeld || this.#bytes + bytes.length > maxHeldBytes) return false
    this.#datagrams.push({ bytes, at: now })
    this.#bytes += bytes.length
    return true
  }

  /** Drops what has waited for too long; how many. */
  expire(now: number): number {
    const { length } = this.#datagrams
    this.#datagrams = this.#datagrams.filter(({ at }) => now - at < maxHeldMs)
    this.#bytes = this.#datagrams.reduce((sum, { bytes }) => sum + bytes.length, 0)
    return length - this.#datagrams.length
  }

  /** All there is; nothing is left. */
  take(): Uint8Array[] {
    const all = this.#datagrams.map(({ bytes }) => bytes)
    this.#datagrams = []
    this.#bytes = 0
    return all
  }
}
