import { Switch } from '../memory/shared-stack.js'

/** Milliseconds after which workers answer even if the stack has neither listened nor connected. */
const quietMs = 5_000

/**
 * Decides whether workers answer packets that belong to no connection. They do not at the beginning, since a listener
 * may be opened in a moment. They do not at the end, since the next program may listen here in a moment.
 */
export class Answering {
  readonly #switches: Int32Array
  readonly #quiet: NodeJS.Timeout
  #ending = false

  /** `switches`: the shared words by `Switch`, which the workers read. */
  constructor(switches: Int32Array) {
    this.#switches = switches
    this.#quiet = setTimeout(() => this.begin(), quietMs).unref()
  }

  /** Workers answer from now on, unless `end` was called. */
  begin(): void {
    clearTimeout(this.#quiet)
    if (!this.#ending) Atomics.store(this.#switches, Switch.answering, 1)
  }

  /**
   * Final. A peer that asks from now on gets no answer and asks again. A RST would tell it that nothing listens here.
   */
  end(): void {
    clearTimeout(this.#quiet)
    this.#ending = true
    Atomics.store(this.#switches, Switch.answering, 0)
  }
}
