import type { ServiceContext } from '../workers/service.js'
import { NameReader } from './name-reader.js'
import type { RemoteData } from './service-data.js'

/**
 * The tunnel's server in one worker of the client: its addresses, and whether it answers. Logs when that changes, not
 * at every attempt.
 */
export class FarEnd {
  readonly port: number
  readonly #context: ServiceContext
  readonly #names: NameReader
  /** Error code of the last failed attempts; undefined: the last attempt succeeded. */
  #failing: string | undefined
  #failures = 0
  #failingSince = 0

  /** `changed` is called, in a turn of the worker, when the name has other addresses. */
  constructor(context: ServiceContext, remote: RemoteData, changed: () => void) {
    this.#context = context
    this.port = remote.port
    this.#names = new NameReader(remote, () => context.after(0, changed))
  }

  /** 4 or 16 bytes each; empty while the name does not resolve. */
  get addresses(): readonly Uint8Array[] {
    return this.#names.addresses.map(({ bytes }) => bytes)
  }

  /** Call when a connection is open. */
  answered(): void {
    if (this.#failing === undefined) return
    const seconds = Math.round((this.#context.now() - this.#failingSince) / 1_000)
    this.#context.log('info', 'server-answers', 'The server answers.', { attempts: this.#failures, seconds })
    this.#failing = undefined
    this.#failures = 0
  }

  /** Call when an attempt to connect has failed. `fields`: of the log line. */
  failed({ code, message }: { code: string; message: string }, fields: Record<string, unknown>): void {
    this.doubt()
    if (this.#failing === undefined) this.#failingSince = this.#context.now()
    this.#failures++
    if (this.#failing === code) return
    this.#failing = code
    this.#context.log('warn', 'server-unreachable', message, { ...fields, code, attempts: this.#failures })
  }

  /** Call when a connection was lost or failed to open: has the name looked up again, since it may have moved. */
  doubt(): void {
    this.#names.doubt(this.#context.now())
  }

  close(): void {
    this.#names.close()
  }
}
