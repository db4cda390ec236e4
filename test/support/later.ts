/** What an inbound path under test puts off (`InboundHooks.after`), under a clock of the test's own. */
export class Later {
  #waiting: { at: number; act(now: number): void }[] = []

  add(at: number, act: (now: number) => void): void {
    this.#waiting.push({ at, act })
  }

  /** Does what is due. */
  run(now: number): void {
    const due = this.#waiting.filter(({ at }) => at <= now)
    this.#waiting = this.#waiting.filter(({ at }) => at > now)
    for (const { act } of due) act(now)
  }
}
