import { BroadcastChannel } from 'node:worker_threads'
import type { UdpAddress } from '../udp/socket.js'
import type { NameNotice, NameRequest } from './name-keeper.js'
import type { RemoteData } from './service-data.js'

/** Milliseconds between two doubts that a worker sends: more of them would tell the main thread nothing new. */
const doubtMs = 250

/** The addresses of `remote` in one worker. For a name, the `NameKeeper` in the main thread keeps them up to date. */
export class NameReader {
  readonly #channel: BroadcastChannel | undefined
  #addresses: readonly UdpAddress[]
  #doubtedAt = Number.NEGATIVE_INFINITY

  /** `changed` is called after each notice of the `NameKeeper`, outside of the worker's turns. */
  constructor({ addresses, channel }: Pick<RemoteData, 'addresses' | 'channel'>, changed: () => void) {
    this.#addresses = addresses
    if (channel === undefined) return
    this.#channel = new BroadcastChannel(channel)
    this.#channel.unref()
    this.#channel.onmessage = message => {
      const notice = (message as { data: NameRequest | NameNotice }).data
      if (typeof notice !== 'object') return
      this.#addresses = notice.addresses
      changed()
    }
    // `addresses` may be old: `workerData` was made at the start, and this worker may replace one that died much later.
    this.#post('hello')
  }

  /** Empty until the name has resolved. */
  get addresses(): readonly UdpAddress[] {
    return this.#addresses
  }

  /** Reports that the addresses seem wrong, since nobody answers there. `now` in milliseconds. */
  doubt(now: number): void {
    if (now - this.#doubtedAt < doubtMs) return
    this.#doubtedAt = now
    this.#post('doubt')
  }

  close(): void {
    this.#channel?.close()
  }

  #post(request: NameRequest): void {
    this.#channel?.postMessage(request)
  }
}
