import type { ServiceContext } from '../workers/service.js'
import { NameReader } from './name-reader.js'
import type { RemoteData } from './service-data.js'

/**
 * The tunnel's server as one of the client's workers knows it: where it is, and whether it answers. What it does is
 * said once, not per attempt.
 */
export class FarEnd {
  readonly port: number
  readonly #context: ServiceContext
  readonly #names: NameReader
  /** What the last attempts ended with; undefined: they did not fail. */
  #failing: string | undefined
  #failures = 0
  #failingSince = 0

  /** `changed` is called, in a turn of the worker, when there are other addresses. */
  constructor(context: ServiceContext, remote: RemoteData, changed: () => void) {
    this.#context = context
    this.port = remote.port
    this.#names = new NameReader(remote, () => context.after(0, changed))
  }

  /** 4 or 16 bytes each; empty while the name does not resolve. */
  get addresses(): readonly Uint8Array[] {
    return this.#names.addresses.map(({ bytes }) => bytes)
  }

  answered(): void {
    if (this.#failing === undefined) return
    const seconds = Math.round((this.#context.now() - this.#failingSince) / 1_000)
    this.#context.log('info', 'server-answers', 'The server answers.', { attempts: this.#failures, seconds })
    this.#failing = undefined
    this.#failures = 0
  }

  /** An attempt failed. */
  failed({ code, message }: { code: string; message: string }, fields: Record<string, unknown>): void {
    this.doubt()
    if (this.#failing === undefined) this.#failingSince = this.#context.now()
    this.#failures++
    if (this.#failing === code) return
    this.#failing = code
    this.#context.log('warn', 'server-unreachable', message, { ...fields, code, attempts: this.#failures })
  }

  /** A connection was lost, or did not come about: the name may have moved. */
  doubt(): void {
    this.#names.doubt(this.#context.now())
  }

  close(): void {
    this.#names.close()
  }
}
