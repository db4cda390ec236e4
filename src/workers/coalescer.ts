import { ErrorCode, FakeTcpError } from '../errors.js'
import { checkWatch, errnoName, native, type Poller, Ready } from '../native.js'

/**
 * Makes packets wait a little, so that one wake of the worker handles many (`coalesceUs`). A descriptor that was
 * readable is taken out of the poller. Instead it is read at every tick of a timer, until a tick finds it empty. (The
 * kernel treats network cards alike: NAPI.) This costs up to one tick of latency.
 */
export class Coalescer {
  /** Descriptor of the timer. */
  readonly timer: number
  readonly #poller: Poller
  readonly #microseconds: number
  /** By descriptor: what is read at each tick. */
  readonly #busy = new Map<number, { token: number; read: () => boolean }>()

  /**
   * The caller has `poller` watch `timer`, and calls `tick` when it is readable. Throws DEVICE when the kernel refuses
   * the timer.
   */
  constructor(poller: Poller, microseconds: number) {
    this.#poller = poller
    this.#microseconds = microseconds
    this.timer = native.timerOpen()
    if (this.timer >= 0) return
    throw new FakeTcpError(
      ErrorCode.DEVICE,
      `The kernel refused a timer for \`coalesceUs\` (${errnoName(this.timer)}).`,
    )
  }

  /** `fd` was readable and has been read. Each tick calls `read` from now on, until it returns false. */
  wait(fd: number, token: number, read: () => boolean): void {
    checkWatch(this.#poller.modify(fd, token, 0))
    // A timer takes every interval.
    if (this.#busy.size === 0) void native.timerSet(this.timer, this.#microseconds)
    this.#busy.set(fd, { token, read })
  }

  /** The timer is readable. */
  tick(): void {
    native.eventDrain(this.timer)
    for (const [fd, { token, read }] of this.#busy) {
      if (read()) continue
      this.#busy.delete(fd)
      checkWatch(this.#poller.modify(fd, token, Ready.read))
    }
    if (this.#busy.size === 0) void native.timerSet(this.timer, 0)
  }

  /** `fd` is about to be closed. */
  forget(fd: number): void {
    this.#busy.delete(fd)
  }

  close(): void {
    native.close(this.timer)
  }
}
