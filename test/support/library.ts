import type { Socket } from '../../src/index.js'
import type { Source } from './udp-source.js'

/** A socket of the library as an application's end. */
export class LibrarySource implements Source {
  readonly received: Uint8Array[] = []
  onDatagram: () => void = () => {}
  readonly #socket: Socket

  constructor(socket: Socket) {
    this.#socket = socket
    void this.#read()
  }

  send(datagram: Uint8Array): void {
    this.#socket.send(datagram)
  }

  async #read(): Promise<void> {
    for await (const datagram of this.#socket) {
      this.received.push(datagram)
      this.onDatagram()
    }
  }
}
