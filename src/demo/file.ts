import { createCipheriv, createHash } from 'node:crypto'
import { closeSync, createReadStream, openSync, readSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'

const chunkBytes = 1024 * 1024

/**
 * Makes a file of pseudo-random bytes, the same every time: the key stream of AES-128 in counter mode with a key of
 * zeros. No program can compress it.
 */
export const makeFile = async (path: string, bytes: number): Promise<void> => {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16))
  const zeros = Buffer.alloc(chunkBytes)
  const file = await open(path, 'wx')
  try {
    for (let left = bytes; left > 0; left -= chunkBytes) {
      await file.write(cipher.update(zeros.subarray(0, Math.min(left, chunkBytes))))
    }
  } finally {
    await file.close()
  }
}

/** SHA-256 of a file, in hexadecimal. */
export const sha256 = async (path: string): Promise<string> => {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: chunkBytes }), hash)
  return hash.digest('hex')
}

/** Reads small pieces of a file. It reads a chunk of the file at once, since most pieces follow each other. */
export class PieceReader {
  readonly #fd: number
  readonly #chunk = Buffer.allocUnsafe(chunkBytes)
  #start = 0
  #length = 0

  constructor(path: string) {
    this.#fd = openSync(path, 'r')
  }

  /** Copies `length` bytes at `offset` of the file, at most 1 MiB, to `to` at `at`. Throws when the file is shorter. */
  copy(offset: number, length: number, to: Uint8Array, at: number): void {
    if (offset < this.#start || offset + length > this.#start + this.#length) {
      this.#start = offset
      this.#length = readSync(this.#fd, this.#chunk, 0, chunkBytes, offset)
      if (length > this.#length) throw new Error('The file became shorter while it was sent.')
    }
    const from = offset - this.#start
    to.set(this.#chunk.subarray(from, from + length), at)
  }

  close(): void {
    closeSync(this.#fd)
  }
}

/** Writes small pieces of a file. It gathers a chunk and writes it at once, since most pieces follow each other. */
export class PieceWriter {
  readonly #fd: number
  readonly #chunk = Buffer.allocUnsafe(chunkBytes)
  #start = 0
  #length = 0

  constructor(path: string) {
    this.#fd = openSync(path, 'w')
  }

  /** Copies `length` bytes at `at`, at most 1 MiB, to be written to the file at `offset`. */
  write(offset: number, bytes: Uint8Array, at: number, length: number): void {
    if (offset !== this.#start + this.#length || this.#length + length > chunkBytes) {
      this.flush()
      this.#start = offset
    }
    this.#chunk.set(bytes.subarray(at, at + length), this.#length)
    this.#length += length
  }

  flush(): void {
    for (let at = 0; at < this.#length; ) {
      at += writeSync(this.#fd, this.#chunk, at, this.#length - at, this.#start + at)
    }
    this.#start += this.#length
    this.#length = 0
  }

  close(): void {
    this.flush()
    closeSync(this.#fd)
  }
}
