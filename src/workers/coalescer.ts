import { ErrorCode, FakeTcpError } from '../errors.js'
import { errnoName, native, type Poller, Ready } from '../native.js'

/**
 * Lets packets wait a little, when asked, so that one wake takes many: a descriptor that has brought something is not
 * polled but read at every tick of a timer, until a tick finds it empty. (The kernel does the same with network cards:
 * NAPI.) Costs up to one tick of latency.
 */
export class Coalescer {
  readonly timer: number
  readonly #poller: Poller
  readonly #microseconds: number
  readonly #busy = new Map<number, { token: number; read: () => boolean }>()

  /**
   * `poller` watches `timer`, with whichever token: call `tick` then. Throws DEVICE when there is no descriptor for it.
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

  /** `fd` was readable and has been read. From now on each tick calls `read`, which says whether there was anything. */
  wait(fd: number, token: number, read: () => boolean): void {
    this.#poller.modify(fd, token, 0)
    if (this.#busy.size === 0) native.timerSet(this.timer, this.#microseconds)
    this.#busy.set(fd, { token, read })
  }

  tick(): void {
    native.eventDrain(this.timer)
    for (const [fd, { token, read }] of this.#busy) {
      if (read()) continue
      this.#busy.delete(fd)
      this.#poller.modify(fd, token, Ready.read)
    }
    if (this.#busy.size === 0) native.timerSet(this.timer, 0)
  }

  /** `fd` is about to be closed. */
  forget(fd: number): void {
    this.#busy.delete(fd)
  }

  close(): void {
    native.close(this.timer)
  }
}
