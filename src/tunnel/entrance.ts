import type { EventName } from '../log/events.js'
import { Errno, errnoName, native, UdpFlag } from '../native.js'
import { bindUdp, describeUdp, scopeOf, type UdpAddress, UdpError, type UdpSocket } from '../udp/socket.js'
import type { ServiceContext } from '../workers/service.js'
import { Pause } from './pause.js'

/** Milliseconds between two attempts to bind to an address that this machine does not have: first pause, maximum. */
const bindPause = [500, 5_000] as const

/** Whether binding failed because the address or interface is missing, so that it may work later. */
export const mayCome = (error: unknown): boolean =>
  error instanceof UdpError && (error.errno === Errno.EADDRNOTAVAIL || error.errno === Errno.ENODEV)

export interface EntranceOptions {
  readonly local: UdpAddress
  readonly localPort: number
  /** Whether the kernel can merge arriving datagrams (UDP_GRO). */
  readonly gro: boolean
}

/**
 * The UDP socket of one worker of the client. It binds as soon as the machine has the address, and again when a
 * link-local address's interface was recreated.
 */
export class Entrance {
  readonly #context: ServiceContext
  readonly #options: EntranceOptions
  readonly #read: (fd: number) => boolean
  readonly #pause = new Pause(...bindPause)
  #socket: UdpSocket | undefined
  /** Index of the zone's interface when the socket was bound; 0: no zone. */
  #scope = 0
  /** Message of the last failure to bind: a failure is logged once. */
  #failed: string | undefined

  /**
   * `read` is called when the socket is readable; it returns whether there was anything. Throws UdpError when binding
   * fails for good.
   */
  constructor(context: ServiceContext, options: EntranceOptions, read: (fd: number) => boolean) {
    this.#context = context
    this.#options = options
    this.#read = read
    try {
      this.#bind()
    } catch (error) {
      if (!mayCome(error)) throw error
      // `startClient` has logged this failure already.
      this.#failed = (error as Error).message
      this.#retry()
    }
  }

  /** undefined while the machine lacks the address. */
  get socket(): UdpSocket | undefined {
    return this.#socket
  }

  /**
   * Call about once a second. Binds again when the zone's interface was recreated: it has another index then, and a
   * socket bound to the old index receives nothing.
   */
  check(): void {
    const scope = this.#options.local.zone === '' ? 0 : scopeOf(this.#options.local.zone)
    if (this.#socket === undefined || scope === this.#scope) return
    this.close()
    this.#retry()
  }

  close(): void {
    if (this.#socket === undefined) return
    this.#context.offReadable(this.#socket.fd)
    native.close(this.#socket.fd)
    this.#socket = undefined
  }

  #bind(): void {
    const { local, localPort, gro } = this.#options
    const flags = UdpFlag.reusePort | UdpFlag.packetInfo | (gro ? UdpFlag.gro : 0)
    const scope = scopeOf(local.zone)
    const socket = bindUdp(local, localPort, flags)
    const watched = this.#context.onReadable(socket.fd, () => this.#read(socket.fd))
    if (watched < 0) {
      native.close(socket.fd)
      throw new UdpError(-watched, `The kernel refused to watch a UDP socket (${errnoName(watched)}).`)
    }
    this.#socket = socket
    this.#scope = scope
  }

  #retry(): void {
    this.#context.after(this.#pause.take(), () => {
      try {
        this.#bind()
      } catch (error) {
        if (!(error instanceof UdpError)) throw error
        if (error.message !== this.#failed) this.#say('warn', 'entrance-waiting', `${error.message} It is tried again.`)
        this.#failed = error.message
        this.#retry()
        return
      }
      this.#pause.reset()
      this.#failed = undefined
      const { local, localPort } = this.#options
      this.#say('info', 'entrance-open', `UDP datagrams are taken at ${describeUdp(local, localPort)} now.`)
    })
  }

  /** Logs in one worker only: the sockets of all workers fail and recover together. */
  #say(level: 'info' | 'warn', event: EventName, text: string): void {
    if (this.#context.queue === 0) this.#context.log(level, event, text)
  }
}
