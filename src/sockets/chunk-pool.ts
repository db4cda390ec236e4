/** Fixed buffers of one thread, each large enough for a super-packet's payload, used again and again. */
export const chunkBytes = 65_536

export interface Chunk {
  readonly bytes: Uint8Array
  /** Bytes in use, from the start. */
  end: number
  /** How many users still need what is in it. */
  users: number
}

/** Idle chunks kept for reuse; more are left to the garbage collector. */
const keep = 256

export class ChunkPool {
  readonly #idle: Chunk[] = []

  take(): Chunk {
    const idle = this.#idle.pop()
    if (idle !== undefined) return idle
    return { bytes: new Uint8Array(chunkBytes), end: 0, users: 0 }
  }

  give(chunk: Chunk): void {
    chunk.end = 0
    chunk.users = 0
    if (this.#idle.length < keep) this.#idle.push(chunk)
  }
}
