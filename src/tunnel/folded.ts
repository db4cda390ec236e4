import type { ServiceContext } from '../workers/service.js'

/** Milliseconds between two lines of the same kind. */
const foldMs = 10_000

/** Something that may happen a thousand times a second: said at once, then at most every ten seconds, with how often it happened meanwhile. */
export class Folded {
  readonly #context: ServiceContext
  readonly #level: 'info' | 'warn' | 'error'
  #saidAt = Number.NEGATIVE_INFINITY
  #count = 0
  #last: { text: string; fields: Record<string, unknown> } | undefined

  constructor(context: ServiceContext, level: 'info' | 'warn' | 'error') {
    this.#context = context
    this.#level = level
  }

  say(text: string, fields: Record<string, unknown> = {}): void {
    this.#count++
    this.#last = { text, fields }
    this.settle()
  }

  /** Call once in a while: what happened since the last line is said when its time has come. */
  settle(): void {
    const last = this.#last
    if (last === undefined || this.#context.now() - this.#saidAt < foldMs) return
    this.#context.log(this.#level, last.text, this.#count > 1 ? { ...last.fields, count: this.#count } : last.fields)
    this.#saidAt = this.#context.now()
    this.#count = 0
    this.#last = undefined
  }
}
