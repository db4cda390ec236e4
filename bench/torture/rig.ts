import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../src/lab/child.js'
import { addresses, type Network, type Side } from '../../src/lab/network.js'
import type { EventName } from '../../src/log/events.js'
import type { Kind } from '../checks/scenario.js'
import { ports, tuns } from '../ends.js'
import type { Received } from '../load/tally.js'
import { entrance, exit, SinkReader } from '../measure/tunnel.js'
import { programs } from '../programs.js'

/** The timeout of every program of a scenario, in seconds. */
const LIMIT = 300
/** Milliseconds from the moment when the TUN devices are there until the programs are ready. */
const SETTLE = 400

type Role = 'client' | 'server'

const commands = {
  ours: { client: [...programs.tunnel, 'client'], server: [...programs.tunnel, 'server'] },
  phantun: { client: programs.phantunClient, server: programs.phantunServer },
} as const

export interface Load {
  rate: number
  seconds: number
  size?: number
  /** Number of its first flow. The default is 0. */
  first?: number
  flows?: number
}

/** A tunnel whose ends come and go, with a sink behind it and loads in front of it. */
export class Rig {
  readonly network: Network
  readonly kind: Kind
  readonly sink: Child
  client!: Child
  server!: Child
  readonly #children: Child[] = []
  readonly #reader: SinkReader
  readonly #flags: readonly string[]
  readonly #remote: string

  private constructor(network: Network, kind: Kind, flags: readonly string[], remote: string) {
    this.network = network
    this.kind = kind
    this.#flags = kind === 'ours' ? flags : []
    this.#remote = remote
    this.sink = this.run(network.b, [...programs.udpSink, '--listen', exit, '--seconds', '115'])
    this.#reader = new SinkReader(this.sink)
  }

  /**
   * Starts both ends, calls `use`, and ends everything, whatever happens. `flags` are those of our programs. `remote`
   * is where the client finds the server.
   */
  static async with<T>(
    network: Network,
    kind: Kind,
    use: (rig: Rig) => Promise<T>,
    flags: readonly string[] = [],
    remote: string = addresses.b.tunPeer,
  ): Promise<T> {
    const rig = new Rig(network, kind, flags, remote)
    try {
      await rig.sink.until(() => rig.sink.stderr.includes('ready'), 'UDP socket')
      await Promise.all([rig.start('server'), rig.start('client')])
      return await use(rig)
    } finally {
      await Promise.all(rig.#children.map(child => child.stop()))
    }
  }

  run(side: Side, command: readonly string[]): Child {
    const child = side.run(command, { name: command.slice(0, 3).join(' '), seconds: LIMIT, env: { RUST_LOG: 'info' } })
    this.#children.push(child)
    return child
  }

  /** Starts one end, for the first time or again. Resolves when it works. */
  async start(role: Role): Promise<void> {
    const { a, b } = this.network
    const [side, tun, own] = role === 'client' ? [a, tuns.a, addresses.a] : [b, tuns.b, addresses.b]
    const ends =
      role === 'client'
        ? ['--local', entrance, '--remote', `${this.#remote}:${ports.server}`]
        : ['--local', String(ports.server), '--remote', exit]
    const interfaces = ['--tun', tun, '--tun-local', own.tunLocal, '--tun-peer', own.tunPeer, '-4']
    const child = this.run(side, [...commands[this.kind][role], ...ends, ...interfaces, ...this.#flags])
    this[role] = child
    await child.until(() => child.hasInterface(tun), 'TUN device')
    if (role === 'client') await child.until(() => child.hasUdpPort(ports.client), 'UDP port')
    await sleep(SETTLE)
  }

  load({ rate, seconds, size = 1_000, first = 0, flows = 1 }: Load): Child {
    const how = ['--rate', rate, '--seconds', seconds, '--size', size, '--first', first, '--flows', flows].map(String)
    return this.run(this.network.a, [...programs.udpPlain, '--to', entrance, ...how])
  }

  /** What has arrived so far. */
  arrived(): Promise<Received> {
    return this.#reader.read() as Promise<Received>
  }

  /** Milliseconds until more arrives, or undefined after `patience`. */
  async untilMore(patience: number): Promise<number | undefined> {
    const start = performance.now()
    const { datagrams } = await this.arrived()
    while (performance.now() - start < patience) {
      await sleep(20)
      if ((await this.arrived()).datagrams > datagrams) return performance.now() - start
    }
    return undefined
  }

  /** How often a program has said this: ours as an event of its log, phantun in these words. */
  said(role: Role, event: EventName, stock: RegExp): number {
    const program = this[role]
    return this.kind === 'ours' ? program.times(event) : program.stderr.split(stock).length - 1
  }

  /** The TCP port of the client, as the server's log has it. */
  clientPort(): number {
    const found = new RegExp(`${addresses.a.tunPeer.replaceAll('.', '\\.')}:(\\d+)`, 'u').exec(this.server.stderr)
    if (found === null) throw new Error(`no connection in the server's log:\n${this.server.stderr}`)
    return Number(found[1])
  }

  openDescriptors(role: Role): number {
    return readdirSync(`/proc/${this[role].pid}/fd`).length
  }

  /** Ends the program and answers what its last line says of traffic and drops. */
  async counters(role: Role): Promise<Record<string, number>> {
    await this[role].stop(5_000)
    const [last] = this[role].logged('stopped')
    if (last === undefined) return {}
    const { traffic, dropped } = last as unknown as Record<'traffic' | 'dropped', Record<string, number>>
    return { ...traffic, ...dropped }
  }
}

/** The share that is missing, by the gaps in what arrived. */
export const percentLost = ({ datagrams, lost }: Received): number => (100 * lost) / Math.max(1, datagrams + lost)

/** The share of all that was sent that is missing. A flow that ended early has no gaps. */
export const percentMissing = (sent: number, { datagrams }: Received): number =>
  Math.max(0, 100 * (1 - datagrams / sent))

export const seconds = (ms: number | undefined, patience: number): string =>
  ms === undefined ? `not within ${patience / 1000} s` : `${(ms / 1000).toFixed(1)} s`
