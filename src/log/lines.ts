import { constants } from 'node:os'

/** Most bytes that wait for whoever reads the log. */
const maxQueued = 256 * 1024
/** Between two attempts, while nothing can be written; twice as long after each. */
const minPauseMs = 10
const maxPauseMs = 1_000
/** Lines written in one go, before others have their turn. */
const linesPerTurn = 200
/** What the end of the process may wait for a reader that is only slow. */
const finishMs = 100
const finishStepMs = 5

const { EAGAIN, EMSGSIZE } = constants.errno

export interface LinesOptions {
  /** Writes what there is room for now, without waiting: bytes, or -errno. */
  readonly write: (bytes: Uint8Array) => number
  /** The line that says that `lines` lines were dropped because of this errno; '' for none. */
  readonly dropped: (lines: number, errno: number) => string
}

/**
 * Writes whole lines and never waits, never throws, never keeps more than a bounded amount. What cannot be written
 * waits here and is tried again. When there is no more room the newest lines are dropped. How many they were is said in
 * their place as soon as there is room again.
 */
export class Lines {
  readonly #options: LinesOptions
  readonly #queue: Uint8Array[] = []
  #queued = 0
  /** Bytes of the first line that are written already. */
  #sent = 0
  #dropped = 0
  #errno = 0
  #pauseMs = minPauseMs
  #timer: NodeJS.Timeout | undefined

  constructor(options: LinesOptions) {
    this.#options = options
  }

  /** `line` with its line feed. */
  write(line: string): void {
    if (this.#hasRoom(Buffer.byteLength(line))) this.#push(Buffer.from(line))
    else this.#dropped++
    // While a timer runs nobody reads.
    if (this.#timer === undefined) this.#work()
  }

  /** The last attempt, at the end of the process: waits for a slow reader, but not for long. */
  finish(): void {
    clearTimeout(this.#timer)
    const end = performance.now() + finishMs
    const sleeper = new Int32Array(new SharedArrayBuffer(4))
    while (this.#advance(maxQueued) === -EAGAIN && performance.now() < end) {
      Atomics.wait(sleeper, 0, 0, finishStepMs)
    }
  }

  /**
   * A line that is larger than the whole queue has a chance while nothing else waits. After a gap half of the queue
   * must be empty, so that there are few gaps.
   */
  #hasRoom(bytes: number): boolean {
    if (this.#queued === 0) return true
    return this.#queued + bytes <= (this.#dropped > 0 ? maxQueued / 2 : maxQueued)
  }

  #push(line: Uint8Array): void {
    if (this.#dropped > 0) this.#enqueue(this.#gap())
    this.#enqueue(line)
  }

  #enqueue(line: Uint8Array): void {
    if (line.length === 0) return
    this.#queue.push(line)
    this.#queued += line.length
  }

  /** The line that stands for what is missing here. */
  #gap(): Uint8Array {
    const lines = this.#dropped
    this.#dropped = 0
    return Buffer.from(this.#options.dropped(lines, this.#errno))
  }

  #work(): void {
    const result = this.#advance(linesPerTurn)
    if (result === 0) {
      this.#timer = undefined
      return
    }
    this.#timer = setTimeout(() => this.#work(), result > 0 ? 1 : this.#pauseMs).unref()
    if (result < 0) this.#pauseMs = Math.min(this.#pauseMs * 2, maxPauseMs)
  }

  /** Writes up to so many lines. 0: nothing is left; 1: there is more; -errno of what stopped it. */
  #advance(lines: number): number {
    for (let left = lines; left > 0; ) {
      if (this.#queue.length === 0 && this.#dropped > 0) this.#enqueue(this.#gap())
      if (this.#queue.length === 0) return 0
      const line = this.#queue[0]
      const result = this.#options.write(line.subarray(this.#sent)) || -EAGAIN
      if (result === -EMSGSIZE) {
        // A socket that keeps messages apart will never take this line.
        this.#dropped++
        this.#errno = EMSGSIZE
      } else if (result < 0) {
        this.#errno = -result
        return result
      } else {
        this.#pauseMs = minPauseMs
        this.#sent += result
        if (this.#sent < line.length) continue
      }
      this.#shift(line)
      left--
    }
    return 1
  }

  #shift(line: Uint8Array): void {
    this.#queue.shift()
    this.#queued -= line.length
    this.#sent = 0
  }
}
