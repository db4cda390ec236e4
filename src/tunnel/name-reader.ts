import { BroadcastChannel } from 'node:worker_threads'
import type { UdpAddress } from '../udp/socket.js'
import type { NameNotice, NameRequest } from './name-keeper.js'
import type { RemoteData } from './service-data.js'

/** A doubt is told at most this often, in milliseconds. */
const doubtMs = 250

/** What `remote` stands for, as a worker knows it. */
export class NameReader {
  readonly #channel: BroadcastChannel | undefined
  #addresses: readonly UdpAddress[]
  #doubtedAt = Number.NEGATIVE_INFINITY

  /** `changed` is called when there are other addresses. */
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
    // What came with the order to begin may be old by now.
    this.#post('hello')
  }

  /** Empty until the name has resolved. */
  get addresses(): readonly UdpAddress[] {
    return this.#addresses
  }

  /** The addresses may be wrong: nobody is there, or not any more. */
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
