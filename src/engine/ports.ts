import { randomInt } from 'node:crypto'
import { ErrorCode, FakeTcpError } from '../errors.js'
import { listeningPorts } from '../memory/shared-stack.js'
import { type Address, endpoint } from '../net/address.js'
import type { Device } from '../net/device.js'
import type { Acceptor } from './acceptor.js'
import type { TupleTable } from './tuple-table.js'

/** Local ports of outgoing connections (Linux's own default range). */
export const ephemeral = { first: 32_768, last: 60_999 } as const
const count = ephemeral.last - ephemeral.first + 1

/**
 * Queue on which a connection's packets arrive, on a steered device. native/steering.cc computes the same queue in the
 * kernel: the two must agree (test/native/tun.inside.ts compares them).
 */
export const queueOf = (localPort: number, remotePort: number, queues: number): number =>
  (localPort ^ remotePort) % queues

/** The first usable local port from a random start on, wrapping around; -1 when no port is usable. */
export const choosePort = (usable: (port: number) => boolean): number => {
  const start = randomInt(count)
  for (let i = 0; i < count; i++) {
    const port = ephemeral.first + ((start + i) % count)
    if (usable(port)) return port
  }
  return -1
}

/** The stack's own ports: who listens on which, and which of them a new outgoing connection may have. */
export class Ports {
  readonly #device: Device
  readonly #table: TupleTable
  readonly #listening: Int32Array
  readonly #acceptors = new Map<number, Acceptor>()

  /** `listening`: the shared bits by which workers know the ports that somebody listens on. */
  constructor(device: Device, table: TupleTable, listening: Int32Array) {
    this.#device = device
    this.#table = table
    this.#listening = listening
  }

  /** Who gets the connections that come to `port`. */
  acceptor(port: number): Acceptor | undefined {
    return this.#acceptors.get(port)
  }

  /** Throws PORT_TAKEN when somebody listens on `port`. */
  checkFree(port: number): void {
    if (!this.#acceptors.has(port)) return
    throw new FakeTcpError(ErrorCode.PORT_TAKEN, `Port ${port} of this stack is taken: close its listener first.`)
  }

  /** Throws PORT_TAKEN. */
  take(port: number, acceptor: Acceptor): void {
    this.checkFree(port)
    this.#acceptors.set(port, acceptor)
    listeningPorts.setListening(this.#listening, port, true)
  }

  release(port: number): void {
    listeningPorts.setListening(this.#listening, port, false)
    this.#acceptors.delete(port)
  }

  releaseAll(): void {
    for (const port of [...this.#acceptors.keys()]) this.release(port)
  }

  /**
   * Chooses a local port for a connection to `port` of `remote`, if possible one whose packets arrive on the queue
   * `wanted`. Answers the port, and the queue on which its packets arrive. Throws PORTS_EXHAUSTED.
   */
  choose(remote: Address, port: number, wanted: number, now: number): { localPort: number; queue: number } {
    const { steered, queues } = this.#device
    const free = (localPort: number) =>
      !this.#acceptors.has(localPort) &&
      this.#table.find(remote, port, localPort) < 0 &&
      this.#table.reusable(remote, port, localPort, now)
    const queue = (localPort: number) => (steered ? queueOf(localPort, port, queues.length) : wanted)
    let localPort = choosePort(localPort => queue(localPort) === wanted && free(localPort))
    if (localPort < 0) localPort = choosePort(free)
    if (localPort < 0) {
      throw new FakeTcpError(
        ErrorCode.PORTS_EXHAUSTED,
        `No local port is left for ${endpoint(remote.text, port)}: close some connections to it first.`,
      )
    }
    return { localPort, queue: queue(localPort) }
  }
}
