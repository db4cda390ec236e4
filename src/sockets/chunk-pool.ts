/** Bytes of a chunk: more than the payload of the largest super-packet. */
export const chunkBytes = 65_536

/** A buffer of `chunkBytes` bytes. */
export interface Chunk {
  readonly bytes: Uint8Array
  /** Bytes in use, from the start. */
  end: number
  /** How many entries of a receive queue still need what is in it. */
  users: number
}

/** The most idle chunks that are kept for reuse. The garbage collector gets the others. */
const maxIdle = 256

/** The idle chunks of one thread. */
export class ChunkPool {
  readonly #idle: Chunk[] = []

  /** An empty chunk, which the caller gives back. */
  take(): Chunk {
    const idle = this.#idle.pop()
    if (idle !== undefined) return idle
    return { bytes: new Uint8Array(chunkBytes), end: 0, users: 0 }
  }

  /** The chunk is not needed any more. */
  give(chunk: Chunk): void {
    chunk.end = 0
    chunk.users = 0
    if (this.#idle.length < maxIdle) this.#idle.push(chunk)
  }
}
