/// <reference lib="esnext.disposable" preserve="true" />
import { aborted, ErrorCode, FakeTcpError } from '../errors.js'
import type { CounterRow, DropCounter, TrafficCounter } from '../memory/counter-table.js'
import type { ServiceReading } from '../memory/service-counters.js'
import { checkPort, parseAddress } from '../net/address.js'
import type { DeviceFeatures } from '../net/features.js'
import { resolveNumbers } from '../numbers.js'
import type { Socket } from '../sockets/socket.js'
import { Coordinator, type StackPlace } from './coordinator.js'
import { Listener } from './listener.js'
import {
  type ConnectOptions,
  connectNumbers,
  type ListenOptions,
  listenNumbers,
  resolveOptions,
  type StackOptions,
} from './options.js'
import { Surroundings } from './surroundings.js'
import { openTriedTun } from './tun.js'

export interface StackStats {
  /** Connections that exist, and attempts of `connect` that wait for an answer. */
  readonly connections: number
  /** Name of the device. */
  readonly device: string
  /** Whether the stack writes super-packets. */
  readonly offload: boolean
  /** The device's optional features: those in use, and why the others are not. */
  readonly features: DeviceFeatures
  /** Sums over all threads: workers, the stack's own, and those that hold transferred sockets. */
  readonly total: WorkerStats
  /** One per queue: what its worker counted. */
  readonly workers: readonly WorkerStats[]
}

/** Counters of a worker, or sums of them. They only grow. docs/operations.md has a sentence for each. */
export interface WorkerStats {
  /** What went through, and what was done. */
  readonly traffic: Readonly<Record<TrafficCounter, number>>
  /** What was lost: one counter for each reason. */
  readonly drops: Readonly<Record<DropCounter, number>>
  /** The counters that services declared (`Stack.serve`), of both kinds. */
  readonly services: ServiceReading
}

/** A fake-TCP stack on one device. It opens and accepts connections, and owns everything they need. */
export class Stack implements AsyncDisposable {
  /** Resolves when the stack is closed, by `close` or because its device is gone. Never rejects. */
  readonly closed: Promise<void>
  readonly #coordinator: Coordinator
  readonly #surroundings: Surroundings | undefined
  readonly #listeners = new Set<Listener>()
  #closing: Promise<void> | undefined
  #resolveClosed!: () => void

  /**
   * Makes the device and starts one worker per queue. Rejects with INVALID_ARGUMENT, ADDON, NO_TUN, PERMISSION,
   * NAME_TAKEN, ADDRESS_TAKEN, NO_IPV6, DEVICE, MEMORY or WORKER; nothing is left behind then.
   */
  static async open(options: StackOptions): Promise<Stack> {
    let device = options.device
    let coordinator: Coordinator | undefined
    let surroundings: Surroundings | undefined
    try {
      const resolved = resolveOptions(options)
      if (resolved.tun !== undefined) {
        const tun = await openTriedTun(resolved.tun, resolved.logger)
        device = tun
        if (tun.index > 0) surroundings = new Surroundings(tun, resolved.logger)
      }
      const place: StackPlace = {
        address4: resolved.stackAddress ?? device!.stackAddress,
        address6: resolved.stackAddress6 ?? device!.stackAddress6,
        mtuTo: (remote, max) => surroundings?.mtuTo(remote, max) ?? max,
      }
      coordinator = new Coordinator(device!, place, resolved)
      await coordinator.start()
      return new Stack(coordinator, surroundings)
    } catch (error) {
      surroundings?.close()
      await coordinator?.close()
      device?.close()
      throw error
    }
  }

  private constructor(coordinator: Coordinator, surroundings: Surroundings | undefined) {
    this.#coordinator = coordinator
    this.#surroundings = surroundings
    this.closed = new Promise(resolve => {
      this.#resolveClosed = resolve
    })
    void coordinator.deviceGone.then(() => this.close())
  }

  /** Name of the device. */
  get device(): string {
    return this.#coordinator.device.name
  }

  /** The stack's own IPv4 address. */
  get address(): string | undefined {
    return this.#coordinator.address4?.text
  }

  /** The stack's own IPv6 address. */
  get address6(): string | undefined {
    return this.#coordinator.address6?.text
  }

  /**
   * Opens a connection to an IPv4 or IPv6 address. Rejects with CONNECT_TIMEOUT, CONNECT_REFUSED, ABORTED,
   * PORTS_EXHAUSTED, TABLE_FULL, NO_ADDRESS, INVALID_ARGUMENT or CLOSED.
   */
  async connect(address: string, port: number, options: ConnectOptions = {}): Promise<Socket> {
    this.#checkOpen()
    const remote = parseAddress(address, 'address')
    checkPort(port, 'port')
    const { timeout } = resolveNumbers(connectNumbers, options)
    if (options.signal?.aborted) throw aborted(options.signal)
    const { signal } = options
    const { sockets } = this.#coordinator
    const request = { remote, port, user: sockets.user, timeout, ...(signal && { signal }) }
    return this.#coordinator.connect(request, flow => sockets.add(flow))
  }

  /** Accepts connections on a port of all the stack's addresses. Throws PORT_TAKEN, INVALID_ARGUMENT or CLOSED. */
  listen(port: number, options: ListenOptions = {}): Listener {
    this.#checkOpen()
    checkPort(port, 'port')
    const { backlog } = resolveNumbers(listenNumbers, options)
    const listener = new Listener(port, backlog, closed => {
      this.#listeners.delete(closed)
      this.#coordinator.unlisten(closed.port)
    })
    const { sockets } = this.#coordinator
    this.#coordinator.listen(port, {
      admits: () => !listener.full,
      user: () => sockets.user,
      accepted: flow => listener.offer(sockets.add(flow)),
    })
    this.#listeners.add(listener)
    return listener
  }

  /**
   * Runs a service in every queue worker: the default export of the module at `url` is its `ServiceFactory`. With a
   * port, the service gets the connections to that port. `workerData` goes to the service. `counters` are those that it
   * may raise; the services of a stack may declare 64 together. Rejects with PORT_TAKEN, INVALID_ARGUMENT or CLOSED, or
   * with the code and message of what the module throws (WORKER unless it is a FakeTcpError).
   */
  async serve(
    port: number | undefined,
    url: URL,
    options: { workerData?: unknown; counters?: readonly CounterRow[] } = {},
  ): Promise<void> {
    this.#checkOpen()
    if (port !== undefined) checkPort(port, 'port')
    await this.#coordinator.serve(port, url.href, options.workerData, options.counters ?? [])
  }

  /** What the stack did and lost so far. */
  stats(): StackStats {
    const coordinator = this.#coordinator
    return {
      connections: coordinator.connections,
      device: coordinator.device.name,
      offload: coordinator.features.superPacketsOut.used,
      features: coordinator.features,
      total: coordinator.counters(),
      workers: Array.from({ length: coordinator.queues }, (_, queue) => coordinator.counters(queue)),
    }
  }

  /**
   * The open stack does not keep the process alive from now on: a program that has nothing else to do ends, and the
   * kernel frees what the stack had. A `connect` that waits for its answer still keeps the process alive.
   */
  unref(): this {
    this.#coordinator.setRef(false)
    return this
  }

  /** Undoes `unref`. */
  ref(): this {
    this.#coordinator.setRef(true)
    return this
  }

  /** Ends every connection with RST, stops the workers and removes the device. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#surroundings?.close()
    this.#coordinator.sockets.flush()
    this.#coordinator.fallSilent()
    await Promise.all([...this.#listeners].map(listener => listener.close()))
    await this.#coordinator.close()
    this.#coordinator.device.close()
    this.#resolveClosed()
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new FakeTcpError(ErrorCode.CLOSED, 'The stack is closed.')
  }
}
