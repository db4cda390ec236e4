import { ErrorCode, FakeTcpError } from '../errors.js'
import type { CounterRow } from '../memory/counter-table.js'
import { Counter, type CounterPage, type CounterReading, readCounters } from '../memory/counters.js'
import { Field, type FlowId } from '../memory/flow-table.js'
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
import { diagnostics } from './diagnostics.js'
import { Floods } from './floods.js'
import { KeepAlive } from './keep-alive.js'
import type { ResolvedKeepalive, ResolvedOptions } from './options.js'
import { OwnSockets } from './own-sockets.js'
import { Ports } from './ports.js'
import { QueueWorkers, type WorkerReport } from './queue-workers.js'
import { Services } from './services.js'
import { Transfers } from './transfers.js'
import { UsedFeatures } from './used-features.js'
import { Witness } from './witness.js'

/** Bytes of the largest packet to `remote`, at most `max`. */
export type MtuTo = (remote: Address, max: number) => number

/** The stack's addresses, and how large the packets may be that it sends from them. */
export interface StackPlace {
  readonly address4: Address | undefined
  readonly address6: Address | undefined
  readonly mtuTo: MtuTo
}

/**
 * The main thread's part of a stack. Makes the other parts, passes each report of a worker to the part that decides
 * about it, and closes everything. A part knows only those that were made before it.
 */
export class Coordinator {
  readonly device: Device
  readonly address4: Address | undefined
  readonly address6: Address | undefined
  /** Sockets of this thread. */
  readonly sockets: OwnSockets
  /** Resolves when the device is gone for good. */
  readonly deviceGone: Promise<void>
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
  readonly #floods: Floods
  readonly #logger: ResolvedOptions['logger']
  readonly #stopKeepAlive: (() => void) | undefined
  #ending = false
  #closing = false
  #loseDevice!: () => void
  #deviceLost = false

  constructor(device: Device, { address4, address6, mtuTo }: StackPlace, options: ResolvedOptions) {
    this.device = device
    this.address4 = address4
    this.address6 = address6
    this.#logger = options.logger
    this.deviceGone = new Promise(resolve => {
      this.#loseDevice = resolve
    })
    const shared = orTooSmall(() => allocateStack(device, address4, address6, options))
    const memory = new StackMemory(shared)
    const counters = memory.counters(device.queues.length)
    const egress = new Egress(memory, counters)
    this.#memory = memory
    this.#counters = counters
    this.#egress = egress
    this.#answering = new Answering(memory.switches)
    this.#used = new UsedFeatures(device, memory.switches, reason =>
      this.#logger?.warn(
        { event: 'super-packets-unused', interface: device.name, reason },
        `${reason}: going on without super-packets`,
      ),
    )
    const workers = new QueueWorkers(shared, options, {
      report: (queue, report) => this.#reported(queue, report),
      replaced: (queue, error) => this.#replaced(queue, error),
    })
    this.#workers = workers
    this.#services = new Services(workers)
    this.#floods = new Floods(device, memory, counters, options.logger)
    const connections = new Connections(memory, new Witness(device.name, memory), egress, {
      mtuTo: remote => mtuTo(remote, device.mtu),
      begun: flow => this.#floods.admit(flow),
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
    if (options.keepalive !== undefined) this.#stopKeepAlive = this.#startKeepAlive(options.keepalive)
  }

  get connections(): number {
    return this.#connections.size
  }

  get queues(): number {
    return this.#workers.count
  }

  /** The device's optional features that are in use at this moment. */
  get features(): DeviceFeatures {
    return this.#used.features
  }

  /** Sets whether the stack keeps the process alive. It does so at first. */
  setRef(ref: boolean): void {
    this.#workers.setRef(ref)
    this.sockets.setRef(ref)
  }

  /** Starts the workers. Throws MEMORY, rejects with WORKER. */
  start(): Promise<void> {
    checkAddressSpace(this.queues)
    return this.#workers.start()
  }

  /** The counters of one thread, or their sums over all threads. */
  counters(thread?: number): CounterReading & { readonly services: ServiceReading } {
    const threads = thread === undefined ? Array.from({ length: this.#memory.threads }, (_, i) => i) : [thread]
    const pages = threads.map(number => this.#memory.counters(number))
    return { ...readCounters(pages), services: this.#services.counters.read(pages) }
  }

  /** Gives the connections to `port` to `acceptor` from now on. Throws PORT_TAKEN. */
  listen(port: number, acceptor: Acceptor): void {
    this.#ports.take(port, acceptor)
    this.#answering.begin()
    this.#floods.openFilter()
  }

  /** Nobody accepts on `port` any more. */
  unlisten(port: number): void {
    this.#ports.release(port)
  }

  /**
   * Loads a service module into every worker. `counters`: those that it may raise. With a port, the service gets the
   * connections to that port. Rejects as `Services.serve` does, or with PORT_TAKEN.
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

  /**
   * Prepares for `close`: workers no longer answer packets of no connection, and the loss of the device is not
   * reported.
   */
  fallSilent(): void {
    this.#ending = true
    this.#answering.end()
  }

  /** Ends every connection, stops the workers, closes every descriptor but the device's. */
  async close(): Promise<void> {
    this.fallSilent()
    this.#closing = true
    this.#stopKeepAlive?.()
    this.#used.close()
    this.#floods.close()
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

  #startKeepAlive(options: ResolvedKeepalive): () => void {
    const connections = this.#connections
    const keepAlive = new KeepAlive(connections.flows, options, {
      probe: (slot, nth) => this.#egress.ack(slot, native.clock(), nth),
      dead: flow => {
        this.#counters[Counter.peerDead] += 1
        connections.witness.peerDead(flow)
        connections.end(flow, End.timeout, true)
      },
    })
    return keepAlive.start(() => connections.table.highWater)
  }

  #reported(queue: number, report: WorkerReport): void {
    // Nothing may begin while the stack closes. The timers of a new connection would write to descriptors that are
    // closed, or that belong to another stack by then.
    if (this.#closing && report.kind !== 'log') return
    switch (report.kind) {
      case 'handshake':
        this.#accepting.handshake(queue, report)
        break
      case 'synAck':
        this.#connecting.answered(report)
        break
      case 'refused':
        this.#connecting.refused(report)
        break
      case 'reset':
        // Datagrams from before the RST may still lie in this thread's lanes. They are delivered first.
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
        this.#floods.reported(report.syns)
        break
      case 'deviceGone':
        this.#lost()
        break
      case 'pathMtu':
        this.#pathMtuLowered(report, report.maxDatagram)
        break
      default:
        report satisfies never
    }
  }

  #replaced(queue: number, error: Error): void {
    this.#logger?.error({ event: 'worker-replaced', queue, err: error }, 'queue worker failed and was replaced')
    if (diagnostics.workerReplaced.wanted) {
      diagnostics.workerReplaced.publish({ device: this.device.name, queue, error })
    }
    this.#services.restore(queue)
  }

  /** The workers of all queues report it; only the first report counts. */
  #lost(): void {
    if (this.#deviceLost || this.#ending) return
    this.#deviceLost = true
    const { name } = this.device
    const error = new FakeTcpError(ErrorCode.DEVICE, `The device ${name} is gone: it was removed under the stack.`)
    this.#logger?.error({ event: 'device-lost', err: error }, error.message)
    if (diagnostics.deviceLost.wanted) diagnostics.deviceLost.publish({ device: name, error })
    this.#loseDevice()
  }

  #pathMtuLowered(flow: FlowId, maxDatagram: number): void {
    const { flows, witness } = this.#connections
    if (!flows.alive(flow)) return
    const remotePort = flows.load(flow.slot, Field.ports) >>> 16
    const fields = { event: 'path-mtu-lowered', largestDatagram: maxDatagram, remotePort } as const
    this.#logger?.warn(fields, 'the path carries only smaller packets')
    witness.pathMtuLowered(flow, maxDatagram)
  }

  #checkFamily({ family, text }: Address): void {
    if ((family === 4 ? this.address4 : this.address6) !== undefined) return
    throw new FakeTcpError(ErrorCode.NO_ADDRESS, `This stack has no IPv${family} address to reach ${text} from.`)
  }
}
