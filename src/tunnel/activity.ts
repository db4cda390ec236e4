/**
 * A flow of at most one datagram each way, like a question and its answer, may go after so many milliseconds of
 * silence.
 */
const briefIdleMs = 15_000
/** Several datagrams out, none ever back: after so many milliseconds somebody should know. */
const unheardMs = 10_000

/**
 * When datagrams of one flow went by. `out`: away from whoever began the flow; `in`: back. Milliseconds of
 * `ServiceContext.now`.
 */
export class Activity {
  outAt: number
  /** 0: never. */
  inAt = 0
  /** When the first datagram went out that nothing has come back for; 0: there is none. */
  waitingSince = 0
  /** Datagrams, as far as it matters: 2 stands for more than one. */
  #out = 0
  #in = 0

  constructor(now: number) {
    this.outAt = now
  }

  out(now: number, several: boolean): void {
    this.outAt = now
    if (this.waitingSince === 0) this.waitingSince = now
    if (this.#out < 2) this.#out += several ? 2 : 1
  }

  in(now: number, several: boolean): void {
    this.inAt = now
    this.waitingSince = 0
    if (this.#in < 2) this.#in += several ? 2 : 1
  }

  /** What went out before now was not meant to be answered. */
  restartWaiting(now: number): void {
    if (this.waitingSince !== 0) this.waitingSince = now
  }

  get lastAt(): number {
    return Math.max(this.outAt, this.inAt)
  }

  /** Whether it has been silent for so long that it may go. */
  isIdle(now: number, idleMs: number): boolean {
    const brief = this.#out < 2 && this.#in < 2
    return now - this.lastAt >= (brief ? Math.min(briefIdleMs, idleMs) : idleMs)
  }

  /** Whether several datagrams went out over some time, and nothing ever came back. */
  isUnheard(now: number): boolean {
    return this.#in === 0 && this.#out > 1 && this.waitingSince !== 0 && now - this.waitingSince >= unheardMs
  }
}
