/**
 * Wakes a consumer thread that sleeps: one word in shared memory, which is 1 while the consumer sleeps, and one
 * eventfd.
 *
 * The consumer arms the bell, **looks at its rings once more**, then sleeps. A producer commits its record, then rings
 * only if it is the one that takes the word from 1 to 0. All of these operations are sequentially consistent. So either
 * the consumer sees the record, or the producer sees the armed word: no wake-up is lost. Waking a consumer costs one
 * system call, however many producers have something for it.
 */
export class Doorbell {
  /** Bytes of shared memory that a bell needs: two cache lines, so that no other data shares one with the word. */
  static readonly bytes = 128

  readonly fd: number
  readonly #word: Int32Array
  readonly #write: (fd: number) => number

  /** `byteOffset` is a multiple of 4. `write` writes to the eventfd `fd` (`native.eventRing`). */
  constructor(shared: SharedArrayBuffer, byteOffset: number, fd: number, write: (fd: number) => number) {
    this.#word = new Int32Array(shared, byteOffset, 1)
    this.fd = fd
    this.#write = write
  }

  /** Consumer only. From now on the next producer rings. Look at the rings once more before you sleep. */
  arm(): void {
    Atomics.store(this.#word, 0, 1)
  }

  /** Consumer only. It is awake, so producers need not ring. */
  disarm(): void {
    Atomics.store(this.#word, 0, 0)
  }

  /** Call in a producer, after it has committed its record. True when it rang. */
  ring(): boolean {
    if (Atomics.load(this.#word, 0) === 0 || Atomics.exchange(this.#word, 0, 0) === 0) return false
    this.#write(this.fd)
    return true
  }
}
