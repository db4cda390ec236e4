/**
 * Idle timeout in milliseconds of a flow with at most one datagram each way, like a DNS query and its answer. A shorter
 * `idleMs` wins.
 */
const briefIdleMs = 15_000
/** Milliseconds after which a flow is unheard: several datagrams went out, and nothing ever came back. */
const unheardMs = 10_000

/**
 * When datagrams of one flow last passed, for its idle timeout. `out`: from the client's application to the UDP
 * service; `in`: back. Times in milliseconds of `ServiceContext.now`.
 */
export class Activity {
  outAt: number
  /** 0: nothing has come back yet. */
  inAt = 0
  /** When the first datagram went out since the last one came back; 0: none has. */
  waitingSince = 0
  /** Datagrams that went each way: 0, 1, or at least 2 for several. Not counted any further. */
  #out = 0
  #in = 0

  constructor(now: number) {
    this.outAt = now
  }

  /** One datagram, or `several`, went out. */
  out(now: number, several: boolean): void {
    this.outAt = now
    if (this.waitingSince === 0) this.waitingSince = now
    if (this.#out < 2) this.#out += several ? 2 : 1
  }

  /** One datagram, or `several`, came back. */
  in(now: number, several: boolean): void {
    this.inAt = now
    this.waitingSince = 0
    if (this.#in < 2) this.#in += several ? 2 : 1
  }

  /** The wait for an answer begins now: the connection, or the UDP socket of a leg, has only just been opened. */
  restartWaiting(now: number): void {
    if (this.waitingSince !== 0) this.waitingSince = now
  }

  get lastAt(): number {
    return Math.max(this.outAt, this.inAt)
  }

  /** Whether the flow's idle timeout has passed. */
  isIdle(now: number, idleMs: number): boolean {
    const brief = this.#out < 2 && this.#in < 2
    return now - this.lastAt >= (brief ? Math.min(briefIdleMs, idleMs) : idleMs)
  }

  /** Whether several datagrams went out, the first one `unheardMs` ago, and nothing ever came back. */
  isUnheard(now: number): boolean {
    return this.#in === 0 && this.#out > 1 && this.waitingSince !== 0 && now - this.waitingSince >= unheardMs
  }
}
