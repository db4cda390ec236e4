import { ErrorCode, FakeTcpError } from '../errors.js'
import { FloodFilter } from '../flood/flood-filter.js'
import type { CounterRow } from '../memory/counter-table.js'
import { Counter, type CounterPage, type CounterReading, readCounters } from '../memory/counters.js'
import type { FlowId } from '../memory/flow-table.js'
import type { ServiceReading } from '../memory/service-counters.js'
import { StackMemory } from '../memory/shared-stack.js'
import { native } from '../native.js'
import type { Address } from '../net/address.js'
import type { Device } from '../net/device.js'
import type { DeviceFeatures } from '../net/features.js'
import { Egress } from '../path/egress.js'
import { End, type Order } from '../path/messages.js'
import { Accepting } from './accept.js'
import type { Acceptor } from './acceptor.js'
import { checkAddressSpace, orTooSmall } from './address-space.js'
import { allocateStack } from './allocate.js'
import { Answering } from './answering.js'
import { Connecting, type ConnectRequest } from './connect.js'
import { Connections } from './connections.js'
import { KeepAlive } from './keep-alive.js'
import type { ResolvedKeepalive, ResolvedOptions } from './options.js'
import { OwnSockets } from './own-sockets.js'
import { Ports } from './ports.js'
import { QueueWorkers, type WorkerReport } from './queue-workers.js'
import { Services } from './services.js'
import { Transfers } from './transfers.js'
import { UsedFeatures } from './used-features.js'

/** Bytes of the largest packet to `remote`, at most `most`. */
export type MtuTo = (remote: Address, most: number) => number

/** Where a stack stands in the network. */
export interface StackPlace {
  readonly address4: Address | undefined
  readonly address6: Address | undefined
  readonly mtuTo: MtuTo
}

/**
 * The main thread's part of a stack: makes what it consists of, hands what workers report to whoever decides about it, and closes all of
 * it. Each part knows only those that are made before it.
 */
export class Coordinator {
  readonly device: Device
  readonly address4: Address | undefined
  readonly address6: Address | undefined
  /** Sockets of this thread. */
  readonly sockets: OwnSockets
  /** Resolves when the device is gone for good. */
  readonly deviceGone: Promise<FakeTcpError>
  readonly #memory: StackMemory
  readonly #counters: CounterPage
  readonly #egress: Egress
  readonly #workers: QueueWorkers
  readonly #connections: Connections
  readonly #ports: Ports
  readonly #transfers: Transfers
  readonly #accepting: Accepting
  readonly #connecting: Connecting
  readonly #services: Services
  readonly #answering: Answering
  readonly #used: UsedFeatures
  readonly #logger: ResolvedOptions['logger']
  readonly #keepAlive: NodeJS.Timeout | undefined
  /** Made for the first listener, where there can be one. */
  #floodFilter: FloodFilter | undefined
  #closing = false
  #loseDevice!: (error: FakeTcpError) => void

  constructor(device: Device, { address4, address6, mtuTo }: StackPlace, options: ResolvedOptions) {
    this.device = device
    this.address4 = address4
    this.address6 = address6
    this.#logger = options.logger
    this.deviceGone = new Promise(resolve => {
      this.#loseDevice = resolve
    })
    const { shared } = orTooSmall(() => allocateStack(device, address4, address6, options))
    const memory = new StackMemory(shared)
    const counters = memory.counters(device.queues.length)
    const egress = new Egress(memory, counters)
    this.#memory = memory
    this.#counters = counters
    this.#egress = egress
    this.#answering = new Answering(memory.switches)
    this.#used = new UsedFeatures(device, memory.switches, reason =>
      this.#logger?.warn({ interface: device.name, reason }, `${reason}: going on without super-packets`),
    )
    const workers = new QueueWorkers(shared, options, {
      report: (queue, report) => this.#reported(queue, report),
      replaced: (queue, error) => this.#replaced(queue, error),
    })
    this.#workers = workers
    this.#services = new Services(workers)
    const connections = new Connections(memory, egress, {
      mtuTo: remote => mtuTo(remote, device.mtu),
      begun: ({ slot }) => this.#floodFilter?.admit(slot),
      purge: gone => workers.broadcast({ kind: 'purge', gone }),
    })
    this.#connections = connections
    const end = (flow: FlowId) => connections.end(flow, End.local, true)
    this.#transfers = new Transfers(shared, memory.flows, {
      rehome: (flow, ended) => connections.rehome(flow, ended),
      fence: () => workers.fence(),
      end,
    })
    const { receiveBytes } = options
    this.sockets = new OwnSockets({ memory, egress, counters, transfers: this.#transfers, receiveBytes, end })
    this.#ports = new Ports(device, connections.table, memory.listening)
    const post = (queue: number, order: Order) => workers.post(queue, order)
    const parts = { connections, ports: this.#ports, counters, post }
    this.#accepting = new Accepting(parts)
    const checkFamily = (remote: Address) => this.#checkFamily(remote)
    this.#connecting = new Connecting({ ...parts, egress, queues: workers.count, checkFamily })
    if (options.keepalive !== undefined) this.#keepAlive = this.#startKeepAlive(options.keepalive)
  }

  get connections(): number {
    return this.#connections.size
  }

  get queues(): number {
    return this.#workers.count
  }

  /** What the device is used with by now. */
  get features(): DeviceFeatures {
    return this.#used.features
  }

  /** Whether the stack keeps the process alive; it does at first. */
  hold(held: boolean): void {
    this.#workers.hold(held)
    this.sockets.hold(held)
  }

  start(): Promise<void> {
    checkAddressSpace(this.queues)
    return this.#workers.start()
  }

  counters(thread?: number): CounterReading & { readonly services: ServiceReading } {
    const threads = thread === undefined ? Array.from({ length: this.#memory.threads }, (_, i) => i) : [thread]
    const pages = threads.map(number => this.#memory.counters(number))
    return { ...readCounters(pages), services: this.#services.counters.read(pages) }
  }

  /** From now on handshakes on `port` end in connections of `acceptor`. Throws PORT_TAKEN. */
  listen(port: number, acceptor: Acceptor): void {
    this.#ports.take(port, acceptor)
    this.#answering.begin()
    this.#floodFilter ??= this.#openFloodFilter()
  }

  /** Nobody accepts on `port` any more. */
  unlisten(port: number): void {
    this.#ports.release(port)
  }

  /**
   * Loads a service module, which counts by `counters`, into every worker; with a port it gets that port's connections. Rejects with the
   * module's own error, PORT_TAKEN or INVALID_ARGUMENT.
   */
  async serve(port: number | undefined, url: string, data: unknown, counters: readonly CounterRow[]): Promise<void> {
    if (port !== undefined) this.#ports.checkFree(port)
    const acceptor = await this.#services.serve(url, data, counters)
    if (port !== undefined) this.listen(port, acceptor)
  }

  /** As `Connecting.connect`. */
  connect<T>(request: ConnectRequest, use: (flow: FlowId) => T): Promise<T> {
    this.#answering.begin()
    return this.#connecting.connect(request, use)
  }

  /** The end is near: packets of no connection are not answered any more. */
  fallSilent(): void {
    this.#answering.end()
  }

  /** Ends every connection, stops the workers, closes every descriptor but the device's. */
  async close(): Promise<void> {
    this.fallSilent()
    this.#closing = true
    clearInterval(this.#keepAlive)
    this.#used.close()
    this.#floodFilter?.close()
    const closed = () => new FakeTcpError(ErrorCode.CLOSED, 'The stack was closed.')
    this.#connecting.abandonAll(closed)
    this.#services.abandon(closed())
    this.#ports.releaseAll()
    this.#connections.endAll(End.stack)
    const [stayed] = await Promise.all([this.#transfers.close(), this.#workers.stop()])
    this.sockets.close()
    this.#egress.close()
    for (const [thread, fd] of this.#memory.shared.bellFds.entries()) if (!stayed.has(thread)) native.close(fd)
  }

  #startKeepAlive(options: ResolvedKeepalive): NodeJS.Timeout {
    const connections = this.#connections
    const keepAlive = new KeepAlive(connections.flows, options, {
      probe: (slot, nth) => this.#egress.ack(slot, native.clock(), nth),
      dead: flow => {
        this.#counters[Counter.peerDead] += 1
        connections.end(flow, End.timeout, true)
      },
    })
    return setInterval(() => keepAlive.tick(connections.table.highWater, native.clock()), keepAlive.period).unref()
  }

  #openFloodFilter(): FloodFilter | undefined {
    return FloodFilter.open(this.device.queues[0], this.#memory.flows, {
      dropped: (syns, others) => {
        this.#counters[Counter.synFlood] += syns
        this.#counters[Counter.strayFlood] += others
      },
      log: text => this.#logger?.warn({ interface: this.device.name }, text),
    })
  }

  #reported(queue: number, report: WorkerReport): void {
    // Nothing may begin any more: its timers would write to descriptors that are closed, or somebody else's by then.
    if (this.#closing && report.kind !== 'log') return
    switch (report.kind) {
      case 'open':
        this.#accepting.open(queue, report)
        break
      case 'synAck':
        this.#connecting.answered(report)
        break
      case 'refused':
        this.#connecting.refused(report)
        break
      case 'reset':
        // Datagrams that came before the RST are still on their way to us.
        this.sockets.drain()
        this.#connections.end(report, End.reset, false)
        break
      case 'close':
        this.#connections.end(report, report.end, true)
        break
      case 'connect':
        this.#answering.begin()
        this.#connecting.connectForService(queue, report)
        break
      case 'served':
        this.#services.served(report)
        break
      case 'log':
        this.#logger?.[report.level](report.fields, report.text)
        break
      case 'flood':
        this.#floodFilter?.flood(report.syns)
        break
      case 'deviceGone':
        this.#loseDevice(
          new FakeTcpError(ErrorCode.DEVICE, `The device ${this.device.name} is gone: it was removed under the stack.`),
        )
        break
      default:
        report satisfies never
    }
  }

  #replaced(queue: number, error: Error): void {
    this.#logger?.error({ queue, err: error }, 'queue worker failed and was replaced')
    this.#services.restore(queue)
  }

  #checkFamily({ family, text }: Address): void {
    if ((family === 4 ? this.address4 : this.address6) !== undefined) return
    throw new FakeTcpError(ErrorCode.NO_ADDRESS, `This stack has no IPv${family} address to reach ${text} from.`)
  }
}
