import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../src/lab/child.js'
import type { Network } from '../../src/lab/network.js'
import { type Pair, ports, tuns } from '../ends.js'
import { programs } from '../programs.js'
import type { Arrived, Cpu } from '../scenario.js'

/** The first datagram opens the connection. The load starts this many milliseconds later. */
export const WARMUP = 500
/** Milliseconds from the moment when both TUN devices are there until the programs are ready. */
const SETTLE = 250
/** Wait after the last datagram was sent, in milliseconds, until the queues are empty. */
export const DRAIN = 300
/** Timeout beyond the load, in seconds, for starting, opening thousands of connections and stopping. */
export const SLACK = 25

/** The address in A that the load sends to. */
export const entrance = `127.0.0.1:${ports.client}`
/** The address in B that the far end listens at. */
export const exit = `127.0.0.1:${ports.far}`

/** A running tunnel, and the program behind its server. */
export class Tunnel {
  readonly network: Network
  /** The maximum time of a load, in seconds. */
  readonly limit: number
  readonly far: Child
  readonly client: Child
  readonly server: Child
  readonly #loads: Child[] = []

  private constructor(network: Network, pair: Pair, limit: number, far: readonly string[]) {
    const { a, b } = network
    const end = (side: 'client' | 'server') => ({ name: `${pair.name} (${side})`, seconds: limit, env: pair[side].env })
    this.network = network
    this.limit = limit
    this.far = b.run(far, { name: 'far end', seconds: limit + 1 })
    this.server = b.run(pair.server.command, end('server'))
    this.client = a.run(pair.client.command, end('client'))
  }

  /** Starts the pair with `far` behind it, which says `ready`. Calls `use`, and ends everything, whatever happens. */
  static async with<T>(
    network: Network,
    pair: Pair,
    seconds: number,
    far: readonly string[],
    use: (tunnel: Tunnel) => Promise<T>,
  ): Promise<T> {
    const tunnel = new Tunnel(network, pair, seconds + SLACK, far)
    const { client, server } = tunnel
    try {
      await tunnel.far.until(() => tunnel.far.stderr.includes('ready'), 'UDP socket')
      await server.until(() => server.hasInterface(tuns.b), 'TUN device')
      await client.until(() => client.hasInterface(tuns.a) && client.hasUdpPort(ports.client), 'TUN device and port')
      await sleep(SETTLE)
      const result = await use(tunnel)
      for (const child of [client, server]) {
        if (!child.running) throw new Error(`${child.name} ended under load: ${lastLine(child.stderr)}`)
      }
      return result
    } catch (error) {
      // The load fails when the program that it talks to has died, so that program's words are shown.
      const dead = [client, server].find(child => !child.running)
      if (dead !== undefined)
        throw new Error(`${dead.name} ended under load: ${lastLine(dead.stderr)}`, { cause: error })
      throw error
    } finally {
      await Promise.all([...tunnel.#loads, client, server, tunnel.far].map(child => child.stop()))
    }
  }

  /** Starts a load tool in A, which ends with the tunnel at the latest. */
  load(command: readonly string[], stdin = false): Child {
    const child = this.network.a.run(command, { name: 'load', seconds: this.limit, stdin })
    this.#loads.push(child)
    return child
  }

  /** CPU time of client and server so far. */
  cpu(): Cpu {
    return [this.client.cpuSeconds(), this.server.cpuSeconds()]
  }

  memoryMB(): number {
    return this.client.peakMemory() + this.server.peakMemory()
  }
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) || 'without a word'

export const since = (before: Cpu, after: Cpu): Cpu => [after[0] - before[0], after[1] - before[1]]

/** A far end that counts, and prints its counts at each SIGUSR2. */
export const sinkCommand = (seconds: number): string[] => [
  ...programs.udpSink,
  ...['--listen', exit, '--seconds', String(seconds + SLACK)],
]

/** Waits for the `index`th JSON line that a child prints. */
export const line = async <T>(child: Child, index: number, seconds: number): Promise<T> => {
  const lines = (): string[] => child.stdout.split('\n')
  await child.until(() => lines().length > index + 1, `line ${index + 1}`, seconds)
  return JSON.parse(lines()[index]) as T
}

/** Reads the counts of a sink while it goes on. */
export class SinkReader {
  readonly #sink: Child
  #lines = 0

  constructor(sink: Child) {
    this.#sink = sink
  }

  read(): Promise<Arrived> {
    this.#sink.process.kill('SIGUSR2')
    return line<Arrived>(this.#sink, this.#lines++, 5)
  }
}
