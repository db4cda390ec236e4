import type { EventName } from '../log/events.js'
import { Errno, errnoName, native, UdpFlag } from '../native.js'
import { bindUdp, describeUdp, scopeOf, type UdpAddress, UdpError, type UdpSocket } from '../udp/socket.js'
import type { ServiceContext } from '../workers/service.js'
import { Pause } from './pause.js'

/** Milliseconds between two tries to bind to an address that this machine does not have yet, at first and at most. */
const bindPause = [500, 5_000] as const

/** The address or interface may come later. */
export const mayCome = (error: unknown): boolean =>
  error instanceof UdpError && (error.errno === Errno.EADDRNOTAVAIL || error.errno === Errno.ENODEV)

export interface EntranceOptions {
  readonly local: UdpAddress
  readonly localPort: number
  /** Whether the kernel can merge what arrives. */
  readonly gro: boolean
}

/**
 * Where a client's worker takes UDP datagrams: at an address that may come late, on an interface that may be another
 * one later.
 */
export class Entrance {
  readonly #context: ServiceContext
  readonly #options: EntranceOptions
  readonly #read: (fd: number) => boolean
  readonly #pause = new Pause(...bindPause)
  #socket: UdpSocket | undefined
  /** Of the zone's interface, as bound. */
  #scope = 0
  #failed: string | undefined

  /** `read` is called when there is something to receive. Throws UdpError, unless the address may come later. */
  constructor(context: ServiceContext, options: EntranceOptions, read: (fd: number) => boolean) {
    this.#context = context
    this.#options = options
    this.#read = read
    try {
      this.#bind()
    } catch (error) {
      if (!mayCome(error)) throw error
      // The one who started us has said so.
      this.#failed = (error as Error).message
      this.#retry()
    }
  }

  /** undefined while the address is not there. */
  get socket(): UdpSocket | undefined {
    return this.#socket
  }

  /**
   * Call once in a while: an interface that was made anew has another index, and a socket bound to the old one hears
   * nothing.
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

  /** Every worker meets the same; one speaks for all. */
  #say(level: 'info' | 'warn', event: EventName, text: string): void {
    if (this.#context.queue === 0) this.#context.log(level, event, text)
  }
}
