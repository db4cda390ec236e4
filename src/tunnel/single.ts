import { native } from '../native.js'
import type { ServiceContext, ServiceFlow } from '../workers/service.js'

/** Sends a datagram of its own memory: the handshake packet, or one that was held while the connection opened. */
export class Sender {
  readonly #context: ServiceContext
  readonly #piece = new Int32Array(2)
  readonly #arena = native.arenaOpen(new Uint8Array(this.#piece.buffer))

  constructor(context: ServiceContext) {
    this.#context = context
  }

  send(flow: ServiceFlow, datagram: Uint8Array): void {
    if (datagram.length > flow.maxDatagram) {
      this.#context.count('oversizeDatagram')
      return
    }
    this.#piece[1] = datagram.length
    this.#context.send(flow, datagram, this.#arena, 0, 1, datagram.length, datagram.length)
  }
}
