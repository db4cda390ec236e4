import { constants } from 'node:os'

/** The most bytes that wait to be written. */
const maxQueued = 256 * 1024
/** Milliseconds between two attempts while nothing can be written. The pause doubles after each, up to the maximum. */
const minPauseMs = 10
const maxPauseMs = 1_000
/** Lines that are written before the event loop gets a turn. */
const linesPerTurn = 200
/** Milliseconds that the process, when it ends, waits for a slow reader. */
const finishMs = 100
/** Milliseconds between two attempts meanwhile. */
const finishStepMs = 5

const { EAGAIN, EMSGSIZE } = constants.errno

/** Where the lines go. */
export interface LinesOptions {
  /** Writes as much as there is room for, without waiting. Returns bytes, or -errno. */
  readonly write: (bytes: Uint8Array) => number
  /** Makes the line that says that `lines` lines were dropped because of this errno. '' for no such line. */
  readonly dropped: (lines: number, errno: number) => string
}

/**
 * Writes whole lines to a log. It never waits, never throws, and never keeps more than `maxQueued` bytes, or one line
 * if that is longer. Lines that cannot be written now are queued, and tried again. When the queue is full the newest
 * lines are dropped. As soon as there is room again, a line in their place says how many they were.
 */
export class Lines {
  readonly #options: LinesOptions
  readonly #queue: Uint8Array[] = []
  /** Bytes of the queued lines. */
  #queued = 0
  /** Bytes of the first line that were written already. */
  #sent = 0
  /** Lines dropped since the last line that says so. */
  #dropped = 0
  /** The error of the last write that failed. */
  #errno = 0
  #pauseMs = minPauseMs
  #timer: NodeJS.Timeout | undefined

  constructor(options: LinesOptions) {
    this.#options = options
  }

  /** Writes or queues a line, or drops it. `line` ends with a line feed. */
  write(line: string): void {
    if (this.#hasRoom(Buffer.byteLength(line))) this.#push(Buffer.from(line))
    else this.#dropped++
    // While a timer runs the log has no room, or the event loop is due for a turn.
    if (this.#timer === undefined) this.#work()
  }

  /** Call at the end of the process: tries for up to `finishMs` to write what is queued. Blocks the thread. */
  finish(): void {
    clearTimeout(this.#timer)
    const end = performance.now() + finishMs
    const sleeper = new Int32Array(new SharedArrayBuffer(4))
    while (this.#advance(maxQueued) === -EAGAIN && performance.now() < end) {
      Atomics.wait(sleeper, 0, 0, finishStepMs)
    }
  }

  /**
   * Whether there is room for a line. When the queue is empty there is, however long the line is. After lines were
   * dropped there is none until half of the queue is empty: that makes few long gaps, instead of many short ones.
   */
  #hasRoom(bytes: number): boolean {
    if (this.#queued === 0) return true
    return this.#queued + bytes <= (this.#dropped > 0 ? maxQueued / 2 : maxQueued)
  }

  /** Queues a line, and before it the one for lines that were dropped. */
  #push(line: Uint8Array): void {
    if (this.#dropped > 0) this.#enqueue(this.#gap())
    this.#enqueue(line)
  }

  #enqueue(line: Uint8Array): void {
    if (line.length === 0) return
    this.#queue.push(line)
    this.#queued += line.length
  }

  /** The line that stands for the dropped ones. */
  #gap(): Uint8Array {
    const lines = this.#dropped
    this.#dropped = 0
    return Buffer.from(this.#options.dropped(lines, this.#errno))
  }

  /** Writes until there is no more room or nothing left, and sets the timer for the rest. */
  #work(): void {
    const result = this.#advance(linesPerTurn)
    if (result === 0) {
      this.#timer = undefined
      return
    }
    this.#timer = setTimeout(() => this.#work(), result > 0 ? 1 : this.#pauseMs).unref()
    if (result < 0) this.#pauseMs = Math.min(this.#pauseMs * 2, maxPauseMs)
  }

  /** Writes up to `lines` lines. Returns 0: nothing is left; 1: there is more; or -errno: a write failed. */
  #advance(lines: number): number {
    for (let left = lines; left > 0; ) {
      if (this.#queue.length === 0 && this.#dropped > 0) this.#enqueue(this.#gap())
      if (this.#queue.length === 0) return 0
      const line = this.#queue[0]
      const result = this.#options.write(line.subarray(this.#sent)) || -EAGAIN
      if (result === -EMSGSIZE) {
        // The log is a datagram socket, and the line is too long for it.
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
