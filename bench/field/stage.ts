/**
 * What a scenario of the field works with: both programs, a service, applications that send UDP, names, faults of the
 * kernel.
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../src/lab/child.js'
import { addresses, type Network, type Side } from '../../src/lab/network.js'
import type { EventName } from '../../src/log/events.js'
import type { Context, Kind, Verdict } from '../checks/scenario.js'
import { ports, tuns } from '../ends.js'
import { programs } from '../programs.js'
import { Shim } from './shim.js'

/** The timeout of every program of a scenario, in seconds. */
const limit = 300
const readySeconds = 20
/** Milliseconds from the UDP port or TUN of a program until it is ready, where the program does not say so itself. */
const settleMs = 400

export type Role = 'client' | 'server'

export interface Start {
  /** --local and --remote. The default is that of bench/ends.ts, over the routed network. */
  local?: string
  remote?: string
  /** --tun */
  tun?: string
  flags?: readonly string[]
  /** Words before the command: `['prlimit', '--as=1G']`. */
  before?: readonly string[]
  env?: Readonly<Record<string, string>>
  /** Where the program runs. The default is the side of its role. */
  side?: Side
  /** The log goes elsewhere. Our program counts as ready when `fake-tcp status` can ask it. */
  unheard?: boolean
}

const commands = {
  ours: { client: [...programs.tunnel, 'client'], server: [...programs.tunnel, 'server'] },
  phantun: { client: programs.phantunClient, server: programs.phantunServer },
} as const

const usual = {
  client: { local: `127.0.0.1:${ports.client}`, remote: `${addresses.b.tunPeer}:${ports.server}`, tun: tuns.a },
  server: { local: String(ports.server), remote: `127.0.0.1:${ports.far}`, tun: tuns.b },
} as const

/** What was seen, sentence by sentence. A sentence that should not be true fails the scenario. */
export class Seen {
  readonly #parts: string[] = []
  #passed = true

  add(text: string, passed = true): void {
    this.#parts.push(passed ? text : `✘ ${text}`)
    if (!passed) this.#passed = false
  }

  get verdict(): Verdict {
    return { figure: this.#parts.join('; '), passed: this.#passed }
  }
}

/** A UDP application beside the client. */
export class Application {
  /** The datagrams that came back. */
  readonly received: string[] = []
  /** 'address port' of who answered last. */
  answeredBy = ''
  readonly #socket: Socket
  readonly #host: string
  readonly #port: number

  constructor(socket: Socket, host: string, port: number) {
    this.#socket = socket
    this.#host = host
    this.#port = port
    socket.on('message', (datagram, { address, port }) => {
      this.received.push(datagram.toString())
      this.answeredBy = `${address} ${port}`
    })
    // ECONNREFUSED and the like are ignored: the scenario notices what is missing.
    socket.on('error', () => {})
  }

  send(datagram: string | Uint8Array): void {
    this.#socket.send(datagram, this.#port, this.#host)
  }

  /**
   * Sends a new word ten times a second until it comes back. Answers the milliseconds, or undefined after `patienceMs`.
   */
  async knock(patienceMs = 10_000): Promise<number | undefined> {
    const word = `word ${Math.random()}`
    const start = performance.now()
    for (let next = 0; performance.now() - start < patienceMs; await sleep(5)) {
      if (this.received.includes(word)) return performance.now() - start
      if (performance.now() - start < next) continue
      this.send(word)
      next += 100
    }
    return undefined
  }

  /**
   * Sends this many datagrams one after the other as fast as it can. Counts those that came back `waitMs` after the
   * last one.
   */
  async burst(count: number, bytes: number, waitMs = 1_000): Promise<number> {
    const mark = `burst ${Math.random()} `
    const came = () => this.received.filter(text => text.startsWith(mark)).length
    for (let i = 0; i < count; i++) this.send(`${mark}${i} `.padEnd(bytes, '.'))
    for (const end = performance.now() + waitMs; performance.now() < end && came() < count; ) await sleep(10)
    return came()
  }
}

export class Stage {
  readonly network: Network
  readonly kind: Kind
  readonly short: boolean
  /** A temporary directory, which is removed afterwards. */
  readonly folder = mkdtempSync(join(tmpdir(), 'fake-tcp-field-'))
  readonly #children: Child[] = []
  readonly #sockets: Socket[] = []
  readonly #shims: Shim[] = []
  readonly #undo: (() => void)[] = []

  private constructor({ network, kind, short }: Context) {
    this.network = network
    this.kind = kind
    this.short = short
  }

  /** Calls `use` with a stage, and ends everything that it started, whatever happens. */
  static async with(context: Context, use: (stage: Stage, seen: Seen) => Promise<void>): Promise<Verdict> {
    const stage = new Stage(context)
    const seen = new Seen()
    try {
      await use(stage, seen)
    } catch (error) {
      seen.add((error as Error).message.split('\n')[0], false)
    } finally {
      await stage.stopPrograms()
      for (const socket of stage.#sockets) socket.close()
      for (const shim of stage.#shims) shim.close()
      for (const undo of stage.#undo.reverse()) undo()
      rmSync(stage.folder, { recursive: true })
    }
    return seen.verdict
  }

  /** Runs `act` when the programs have ended. What was added last runs first. */
  finally(undo: () => void): void {
    this.#undo.push(undo)
  }

  /** Ends what was started so far. */
  async stopPrograms(): Promise<void> {
    await Promise.all(this.#children.splice(0).map(child => child.stop()))
  }

  run(
    side: Side,
    command: readonly string[],
    env: Readonly<Record<string, string>> = {},
    name = command.slice(0, 3).join(' '),
  ): Child {
    const child = side.run(command, { name, seconds: limit, env: { RUST_LOG: 'info', ...env } })
    this.#children.push(child)
    return child
  }

  /** The command line of one end, ours or phantun's. */
  command(role: Role, { local, remote, tun, flags = [] }: Start = {}): string[] {
    const { local: here, remote: there, tun: device } = usual[role]
    return [
      ...commands[this.kind][role],
      ...['--local', local ?? here, '--remote', remote ?? there, '--tun', tun ?? device, ...flags],
    ]
  }

  /** Starts one end and does not wait for it. */
  launch(role: Role, start: Start = {}): Child {
    const side = start.side ?? (role === 'client' ? this.network.a : this.network.b)
    const command = [...(start.before ?? []), ...this.command(role, start)]
    return this.run(side, command, { RUNTIME_DIRECTORY: this.folder, ...start.env }, role)
  }

  /** Starts one end and waits until it works. */
  async start(role: Role, start: Start = {}): Promise<Child> {
    const child = this.launch(role, start)
    if (this.kind === 'ours') {
      const isReady = start.unheard
        ? () => existsSync(join(this.folder, `${role}-${child.pid}.sock`))
        : () => child.times('ready') > 0
      await child.until(isReady, 'readiness', readySeconds)
    } else {
      await child.until(() => child.hasInterface(start.tun ?? usual[role].tun), 'TUN device', readySeconds)
      await sleep(settleMs)
    }
    return child
  }

  /** Whether the TUN interface of an end is there. Some programs of a scenario are not children of this process. */
  hasTun(role: Role): boolean {
    const side = role === 'client' ? this.network.a : this.network.b
    try {
      side.command(['sh', '-c', `grep -q '${usual[role].tun}:' /proc/net/dev`])
      return true
    } catch {
      return false
    }
  }

  /** Starts a service that echoes, behind the server or elsewhere. `host`: 127.0.0.1, ::1. */
  async echo(side: Side = this.network.b, host = '127.0.0.1'): Promise<Child> {
    const listen = `${host.includes(':') ? `[${host}]` : host}:${ports.far}`
    const echo = this.run(side, [...programs.udpService, '--listen', listen])
    await echo.until(() => echo.stderr.includes('ready'), 'UDP socket')
    return echo
  }

  /** Starts an echo, a server and a client. */
  async tunnel({ client = {}, server = {} }: { client?: Start; server?: Start } = {}): Promise<{
    client: Child
    server: Child
  }> {
    await this.echo()
    const [far, near] = await Promise.all([this.start('server', server), this.start('client', client)])
    return { client: near, server: far }
  }

  /** An application in A that sends to the client. `from` is its own address. */
  async application(host = '127.0.0.1', port: number = ports.client, from?: string): Promise<Application> {
    const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 })
    this.#sockets.push(socket)
    socket.bind(0, from)
    await once(socket, 'listening')
    return new Application(socket, host, port)
  }

  shim(name?: string): Shim {
    const shim = new Shim(this.folder, name)
    this.#shims.push(shim)
    return shim
  }

  /** An /etc/hosts for programs that are started with `before`, and a way to set what it says of `name`. */
  hosts(name: string): { before: readonly string[]; move: (...to: string[]) => void } {
    const path = join(this.folder, 'hosts')
    const move = (...to: string[]): void => writeFileSync(path, to.map(each => `${each} ${name}\n`).join(''))
    move()
    return { before: this.mounted(path, '/etc/hosts'), move }
  }

  /** Words before a command that then sees `file` at the path `over`. */
  mounted(file: string, over: string): readonly string[] {
    return ['unshare', '--mount', 'sh', '-c', `mount --bind ${file} ${over} && exec "$@"`, 'sh']
  }

  /** Sets kernel settings of a side for this scenario, and restores them afterwards. */
  setting(side: Side, name: string, value: string | number, before: string | number): void {
    side.command(['sysctl', '-qw', `${name}=${value}`])
    this.finally(() => side.command(['sysctl', '-qw', `${name}=${before}`]))
  }
}

/** What one of our programs counted, once it has ended: the reasons why datagrams or connections were lost. */
export const lost = (child: Child): Readonly<Record<string, number>> =>
  (child.logged('stopped')[0]?.dropped ?? {}) as Record<string, number>

/** Sentences of one of ours that warn or report an error: all of them, or those of one event. */
export const complaints = (child: Child, event?: EventName): string[] =>
  child
    .logged(event)
    .filter(({ level }) => level >= 40)
    .map(({ msg }) => msg)

export const seconds = (ms: number | undefined): string => (ms === undefined ? 'never' : `${(ms / 1000).toFixed(1)} s`)
