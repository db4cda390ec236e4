/**
 * Whether a consumer sleeps, and how to wake it: one `needWake` word in shared memory and one eventfd.
 *
 * The consumer arms the bell, **looks at its rings once more**, then sleeps; a producer commits its record, then rings
 * only when it is the one that takes the word from 1 to 0. Both sides use sequentially consistent operations, so either
 * the consumer sees the record or the producer sees the armed word: no wake-up is lost, and an idle-to-busy edge costs
 * one system call.
 */
export class Doorbell {
  static readonly bytes = 128

  readonly fd: number
  readonly #word: Int32Array
  readonly #write: (fd: number) => number

  /** `write` rings the eventfd `fd` (`native.eventRing`); `byteOffset` is a multiple of 4. */
  constructor(shared: SharedArrayBuffer, byteOffset: number, fd: number, write: (fd: number) => number) {
    this.#word = new Int32Array(shared, byteOffset, 1)
    this.fd = fd
    this.#write = write
  }

  /** Consumer only. From now on a producer rings. Look at the rings again before sleeping. */
  arm(): void {
    Atomics.store(this.#word, 0, 1)
  }

  /** Consumer only. It is awake: producers need not ring. */
  disarm(): void {
    Atomics.store(this.#word, 0, 0)
  }

  /** Any producer, after its commit. True when it rang. */
  ring(): boolean {
    if (Atomics.load(this.#word, 0) === 0 || Atomics.exchange(this.#word, 0, 0) === 0) return false
    this.#write(this.fd)
    return true
  }
}
