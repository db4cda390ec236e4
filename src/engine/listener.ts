/// <reference lib="esnext.disposable" preserve="true" />
import { aborted, ErrorCode, FakeTcpError } from '../errors.js'
import type { Socket } from '../sockets/socket.js'
import { Waiters } from '../sockets/waiters.js'

/** Accepts the connections to one port, in the order in which their handshakes ended. */
export class Listener implements AsyncIterable<Socket>, AsyncDisposable {
  readonly port: number
  /** As in `ListenOptions`. */
  readonly backlog: number
  readonly #ready: Socket[] = []
  readonly #waiting = new Waiters<Socket | undefined>()
  readonly #stop: (listener: Listener) => void
  #closed = false

  /** @internal Listeners come from `Stack.listen`. */
  constructor(port: number, backlog: number, stop: (listener: Listener) => void) {
    this.port = port
    this.backlog = backlog
    this.#stop = stop
  }

  /** Number of connections that wait for `accept`. */
  get pending(): number {
    return this.#ready.length
  }

  /** The next connection. Rejects with CLOSED once the listener is closed, with ABORTED when `signal` aborts. */
  async accept(options: { signal?: AbortSignal } = {}): Promise<Socket> {
    if (options.signal?.aborted) throw aborted(options.signal)
    const socket = this.#ready.shift() ?? (this.#closed ? undefined : await this.#waiting.wait(options.signal))
    if (socket === undefined) throw new FakeTcpError(ErrorCode.CLOSED, `The listener on port ${this.port} is closed.`)
    return socket
  }

  /** Every connection until the listener is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Socket, void, undefined> {
    for (;;) {
      const socket = this.#ready.shift() ?? (this.#closed ? undefined : await this.#waiting.wait())
      if (socket === undefined) return
      yield socket
    }
  }

  /** Stops listening. Connections that nobody has accepted are closed, accepted ones stay open. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#stop(this)
    this.#waiting.resolveAll(undefined)
    await Promise.all(this.#ready.splice(0).map(socket => socket.close()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @internal */
  get full(): boolean {
    return this.#waiting.size === 0 && this.#ready.length >= this.backlog
  }

  /** @internal */
  offer(socket: Socket): void {
    if (!this.#waiting.resolveOne(socket)) this.#ready.push(socket)
  }
}
