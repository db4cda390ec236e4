import { Switch } from '../memory/shared-stack.js'

/** A stack that neither listens nor connects within this time answers strangers all the same. */
const quietMs = 5_000

/**
 * Whether workers answer packets of no connection: not at the beginning, when who listens is still to come, and not at
 * the end, when another program may be about to listen here.
 */
export class Answering {
  readonly #switches: Int32Array
  readonly #quiet: NodeJS.Timeout
  #ending = false

  /** `switches`: words by `Switch` that the workers look at. */
  constructor(switches: Int32Array) {
    this.#switches = switches
    this.#quiet = setTimeout(() => this.begin(), quietMs).unref()
  }

  begin(): void {
    clearTimeout(this.#quiet)
    if (!this.#ending) Atomics.store(this.#switches, Switch.answering, 1)
  }

  /** For good. Who asks from now on gets no answer and asks again, instead of hearing that nothing listens. */
  end(): void {
    clearTimeout(this.#quiet)
    this.#ending = true
    Atomics.store(this.#switches, Switch.answering, 0)
  }
}
