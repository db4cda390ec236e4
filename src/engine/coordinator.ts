import { ErrorCode, FakeTcpError } from '../errors.js'
import { FloodFilter } from '../flood/flood-filter.js'
import type { CounterRow } from '../memory/counter-table.js'
import { Counter, type CounterPage, type CounterReading, readCounters } from '../memory/counters.js'
import type { FlowId } from '../memory/flow-table.js'
import { Field, type FlowTable, State } from '../memory/flow-table.js'
import type { ServiceReading } from '../memory/service-counters.js'
import { StackMemory, Switch } from '../memory/shared-stack.js'
import { errnoName, native } from '../native.js'
import { type Address, endpoint, fromWords, remoteAddress } from '../net/address.js'
import type { Device } from '../net/device.js'
import { type DeviceFeatures, unused } from '../net/features.js'
import { Egress } from '../path/egress.js'
import type { Deliver } from '../path/inbox.js'
import { End, type Report } from '../path/messages.js'
import { ThreadInbox } from '../sockets/thread-inbox.js'
import { headersLength } from '../wire/sizes.js'
import { checkAddressSpace, orTooSmall } from './address-space.js'
import { allocateStack } from './allocate.js'
import { Handshakes } from './handshakes.js'
import { KeepAlive } from './keep-alive.js'
import { connectNumbers, type ResolvedKeepalive, type ResolvedOptions } from './options.js'
import type { Owner } from './owner.js'
import { Ports } from './ports.js'
import { QueueWorkers } from './queue-workers.js'
import { race } from './race.js'
import { Services } from './services.js'
import { Transfers } from './transfers.js'
import { TupleTable } from './tuple-table.js'

/** Between two addresses of the same peer (RFC 8305 §5). */
const raceDelayMs = 250

/** A stack that neither listens nor connects within this time answers strangers all the same. */
const quietMs = 5_000
const lookoutMs = 1_000
/** Stands for the reason that the trial has given in words. */
const unspecified = -1

/** A stock server's SYN+ACK begins there; ours with a cookie. */
const stockServerSeq = 0

export interface ConnectRequest {
  readonly remote: Address
  readonly port: number
  readonly owner: Owner
  readonly timeout: number
  readonly signal?: AbortSignal
  /** Queue that the flow lives on; default: the next one in turn. */
  readonly queue?: number
}

/** Bytes of the largest packet to `remote`, at most `most`. */
export type MtuTo = (remote: Address, most: number) => number

/** Where a stack stands in the network. */
export interface StackPlace {
  readonly address4: Address | undefined
  readonly address6: Address | undefined
  readonly mtuTo: MtuTo
}

/**
 * The main thread's part of a stack: the only writer of the tuple table, partner of every handshake, and the one who tells the
 * workers of purges. It touches a datagram only when a socket of this thread consumes it.
 */
export class Coordinator {
  readonly device: Device
  readonly address4: Address | undefined
  readonly address6: Address | undefined
  readonly flows: FlowTable
  readonly egress: Egress
  /** This thread's number among the consumers. */
  readonly thread: number
  /** Called when the device is gone for good. */
  onDeviceGone: (error: FakeTcpError) => void = () => {}
  /** Takes what this thread's lanes bring. */
  onDelivery: Deliver = (lane, _flow, { at }) => lane.release(at)
  readonly memory: StackMemory
  readonly counterPage: CounterPage
  readonly transfers: Transfers
  readonly ports: Ports
  readonly #table: TupleTable
  readonly #workers: QueueWorkers
  readonly #handshakes = new Handshakes()
  readonly #inbox: ThreadInbox
  readonly #logger: ResolvedOptions['logger']
  readonly #owners: (Owner | undefined)[] = []
  readonly #gone: number[] = []
  readonly #services: Services
  readonly #mtuTo: MtuTo
  readonly #quiet: NodeJS.Timeout
  readonly #lookout: NodeJS.Timeout
  readonly #keepAlive: NodeJS.Timeout | undefined
  /** Made for the first listener, where there can be one. */
  #floodFilter: FloodFilter | undefined
  #nextQueue = 0
  #ending = false
  #closing = false

  constructor(device: Device, { address4, address6, mtuTo }: StackPlace, options: ResolvedOptions) {
    this.device = device
    this.address4 = address4
    this.address6 = address6
    this.#mtuTo = mtuTo
    this.#logger = options.logger
    this.thread = device.queues.length
    const { shared, flows, index } = orTooSmall(() => allocateStack(device, address4, address6, options))
    this.flows = flows
    this.memory = new StackMemory(shared)
    const { switches } = this.memory
    if (device.virtioSize !== 0 && !device.features.superPacketsOut.used) switches[Switch.headersRefused] = unspecified
    this.#quiet = setTimeout(() => this.#answer(), quietMs).unref()
    this.#lookout = setInterval(() => this.#lookOut(), lookoutMs).unref()
    this.counterPage = this.memory.counters(this.thread)
    this.#table = new TupleTable(this.flows, index)
    this.ports = new Ports(device, this.#table, this.memory.listening)
    this.egress = new Egress(this.memory, this.counterPage)
    this.#inbox = new ThreadInbox(this.memory, this.thread, (...delivery) => this.onDelivery(...delivery))
    this.#workers = new QueueWorkers(shared, options, {
      report: (queue, report) => this.#reported(queue, report),
      replaced: (queue, error) => {
        this.#logger?.error({ queue, err: error }, 'queue worker failed and was replaced')
        this.#services.restore(queue)
      },
    })
    this.#services = new Services(this.#workers)
    if (options.keepalive !== undefined) this.#keepAlive = this.#startKeepAlive(options.keepalive)
    this.transfers = new Transfers(shared, flows, {
      rehome: ({ slot }, ended) => {
        this.#owners[slot] = { consumer: this.thread, service: -1, token: 0, ended: (_, end) => ended(end) }
      },
      fence: () => this.#workers.fence(),
      end: ({ slot, generation }) => this.end(slot, generation, End.local, true),
    })
  }

  get connections(): number {
    return this.#table.size
  }

  get queues(): number {
    return this.#workers.count
  }

  /** What the device is used with by now. */
  get features(): DeviceFeatures {
    const { features } = this.device
    const errno = this.memory.switches[Switch.headersRefused]
    if (errno === 0 || !features.superPacketsOut.used) return features
    return { ...features, superPacketsOut: unused(`the kernel refused a write (${errnoName(-errno)})`) }
  }

  /** Whether the stack keeps the process alive; it does at first. */
  hold(held: boolean): void {
    this.#workers.hold(held)
    if (held) this.#inbox.ref()
    else this.#inbox.unref()
  }

  start(): Promise<void> {
    checkAddressSpace(this.queues)
    return this.#workers.start()
  }

  counters(thread?: number): CounterReading & { readonly services: ServiceReading } {
    const threads = thread === undefined ? Array.from({ length: this.memory.threads }, (_, i) => i) : [thread]
    const pages = threads.map(number => this.memory.counters(number))
    return { ...readCounters(pages), services: this.#services.counters.read(pages) }
  }

  /** From now on handshakes on `port` end in connections of `owner`. Throws PORT_TAKEN. */
  listen(port: number, owner: Owner): void {
    this.ports.take(port, owner)
    this.#answer()
    this.#floodFilter ??= this.#openFloodFilter()
  }

  /** As `Services.serve`. */
  serve(url: string, data: unknown, counters: readonly CounterRow[]): Promise<number> {
    return this.#services.serve(url, data, counters)
  }

  /** As `ThreadInbox.drain`. */
  drain(): void {
    this.#inbox.drain()
  }

  /** Rejects with CONNECT_TIMEOUT, CONNECT_REFUSED, ABORTED, PORTS_EXHAUSTED, TABLE_FULL, NO_ADDRESS or CLOSED. */
  connect(request: ConnectRequest): Promise<FlowId> {
    return new Promise((resolve, reject) => {
      const { remote, port, owner, timeout, signal } = request
      this.#answer()
      const now = native.clock()
      this.#checkFamily(remote)
      const wanted = request.queue ?? this.#nextQueue++ % this.queues
      const { localPort, queue } = this.ports.choose(remote, port, wanted, now)
      const id = this.#add(remote, port, localPort, owner, { state: State.synSent, queue, nextSeq: 1, nextAck: 0 }, now)
      this.counterPage[Counter.connectsBegun] += 1
      this.#handshakes.begin({
        ...id,
        target: endpoint(remote.text, port),
        timeout,
        ...(signal && { signal }),
        syn: () => this.egress.syn(id.slot),
        done: error => {
          if (error === undefined) {
            this.counterPage[Counter.connectsDone] += 1
            owner.opened?.(id)
            resolve(id)
          } else {
            // Tell the peer that its SYN+ACK, should one be under way, came too late; a refusal needs no answer.
            this.end(id.slot, id.generation, End.local, error.code !== ErrorCode.CONNECT_REFUSED)
            reject(error)
          }
        },
      })
    })
  }

  /** Ends a connection, for everybody and at once. With `tell` the peer gets a RST. */
  end(slot: number, generation: number, end: End, tell: boolean): void {
    if (!this.flows.alive({ slot, generation })) return
    const now = native.clock()
    const { words } = this.flows
    const base = this.flows.base(slot)
    if (tell) this.egress.reset(slot, now)
    const owner = this.#owners[slot]
    this.#owners[slot] = undefined
    owner?.ended?.({ slot, generation }, end)
    const tuplePorts = words[base + Field.ports]
    const remote = fromWords(words[base + Field.family], words, base + Field.remote)
    this.#table.remove(slot, remote, tuplePorts >>> 16, tuplePorts & 0xffff, now)
    if (this.#gone.length === 0) setImmediate(() => this.#purge())
    this.#gone.push(slot, generation, end)
  }

  /**
   * The end is near: packets of no connection are not answered any more. Who asks now is to ask again, for another program may be about
   * to listen here; that nothing listens is not for us to say.
   */
  fallSilent(): void {
    clearTimeout(this.#quiet)
    this.#ending = true
    Atomics.store(this.memory.switches, Switch.answering, 0)
  }

  /** Ends every connection, stops the workers, closes every descriptor but the device's. */
  async close(): Promise<void> {
    this.fallSilent()
    this.#closing = true
    clearInterval(this.#keepAlive)
    clearInterval(this.#lookout)
    this.#floodFilter?.close()
    const closed = () => new FakeTcpError(ErrorCode.CLOSED, 'The stack was closed.')
    this.#handshakes.abandonAll(closed)
    this.#services.abandon(closed())
    this.ports.releaseAll()
    for (let slot = 0; slot < this.flows.capacity && this.connections > 0; slot++) {
      const generation = this.flows.load(slot, Field.generation)
      if ((generation & 1) === 0 && this.flows.load(slot, Field.state) !== State.free) {
        this.end(slot, generation, End.stack, true)
      }
    }
    this.#purge()
    const [stayed] = await Promise.all([this.transfers.close(), this.#workers.stop()])
    this.#inbox.close()
    this.egress.close()
    for (const [thread, fd] of this.memory.shared.bellFds.entries()) if (!stayed.has(thread)) native.close(fd)
  }

  /** From now on packets of no connection are answered. */
  #answer(): void {
    clearTimeout(this.#quiet)
    if (!this.#ending) Atomics.store(this.memory.switches, Switch.answering, 1)
  }

  /** Any thread may have found that the kernel refuses what it took at the start; that is said once. */
  #lookOut(): void {
    const { used, reason } = this.features.superPacketsOut
    if (used) return
    clearInterval(this.#lookout)
    if (!this.device.features.superPacketsOut.used) return
    this.#logger?.warn({ interface: this.device.name, reason }, `${reason}: going on without super-packets`)
  }

  #startKeepAlive(options: ResolvedKeepalive): NodeJS.Timeout {
    const keepAlive = new KeepAlive(this.flows, options, {
      probe: (slot, nth) => this.egress.ack(slot, native.clock(), nth),
      dead: (slot, generation) => {
        this.counterPage[Counter.peerDead] += 1
        this.end(slot, generation, End.timeout, true)
      },
    })
    return setInterval(() => keepAlive.tick(this.#table.highWater, native.clock()), keepAlive.period).unref()
  }

  #openFloodFilter(): FloodFilter | undefined {
    return FloodFilter.open(this.device.queues[0], this.flows, {
      dropped: (syns, others) => {
        this.counterPage[Counter.synFlood] += syns
        this.counterPage[Counter.strayFlood] += others
      },
      log: text => this.#logger?.warn({ interface: this.device.name }, text),
    })
  }

  #reported(queue: number, report: Report): void {
    // Nothing may begin any more: its timers would write to descriptors that are closed, or somebody else's by then.
    if (this.#closing && report.kind !== 'log') return
    switch (report.kind) {
      case 'open':
        this.#open(queue, report)
        break
      case 'synAck':
        this.#synAck(report.slot, report.generation, report.seq)
        break
      case 'refused':
        if (!this.#handshakes.refused(report.slot, report.generation)) this.counterPage[Counter.strayHandshake] += 1
        break
      case 'reset':
        // Datagrams that came before the RST are still on their way to us.
        this.drain()
        this.end(report.slot, report.generation, End.reset, false)
        break
      case 'close':
        this.end(report.slot, report.generation, report.end, true)
        break
      case 'connect':
        this.#connectForService(queue, report)
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
        this.onDeviceGone(
          new FakeTcpError(ErrorCode.DEVICE, `The device ${this.device.name} is gone: it was removed under the stack.`),
        )
        break
      case 'ready':
        break
    }
  }

  /** The third packet of a handshake: this is where an accepted connection begins. */
  #open(queue: number, { tuple, key, seq, ack }: Extract<Report, { kind: 'open' }>): void {
    const now = native.clock()
    const remote = remoteAddress(tuple)
    const remotePort = tuple.ports >>> 16
    const localPort = tuple.ports & 0xffff
    const known = this.#table.find(remote, remotePort, localPort)
    if (known >= 0) {
      // Two queues saw the handshake; the second one only learns what the first one began.
      this.counterPage[Counter.duplicateOpen] += 1
      const generation = this.flows.load(known, Field.generation)
      this.#workers.post(queue, { kind: 'opened', slot: known, generation, key })
      return
    }
    const owner = this.ports.owner(localPort)
    const quarantined = this.#table.quarantined(remote, remotePort, localPort, now)
    if (owner === undefined || quarantined) {
      this.counterPage[Counter.openRefused] += 1
      this.#workers.post(queue, { kind: 'turnedDown', key, reset: true })
      return
    }
    if (owner.admits?.() === false) {
      this.counterPage[Counter.backlogFull] += 1
      this.#workers.post(queue, { kind: 'turnedDown', key, reset: false })
      return
    }
    try {
      const serviced = owner.service < 0 ? owner : { ...owner, consumer: queue }
      const numbers = { state: State.established, queue, nextSeq: ack, nextAck: seq }
      const id = this.#add(remote, remotePort, localPort, serviced, numbers, now)
      owner.opened?.(id)
      this.#workers.post(queue, { kind: 'opened', ...id, key })
    } catch {
      this.counterPage[Counter.openRefused] += 1
      this.#workers.post(queue, { kind: 'turnedDown', key, reset: true })
    }
  }

  #synAck(slot: number, generation: number, seq: number): void {
    if (!this.flows.alive({ slot, generation }) || this.flows.load(slot, Field.state) !== State.synSent) {
      this.counterPage[Counter.strayHandshake] += 1
      return
    }
    const now = native.clock()
    this.#table.setNumbers(slot, 1, (seq + 1) | 0, now)
    this.flows.store(slot, Field.state, State.established)
    this.egress.ack(slot, now)
    // A stock server's silence would keep its window at 64 KiB in conntrack's eyes (docs/architecture.md); ours speaks soon.
    if (seq === stockServerSeq) this.egress.ack(slot, now, 1)
    this.#handshakes.answered(slot, generation)
  }

  #connectForService(queue: number, request: Extract<Report, { kind: 'connect' }>): void {
    const { service, token, port, targets } = request
    const owner: Owner = { consumer: queue, service, token }
    const timeout = connectNumbers.timeout.default
    const attempts = targets.map(target => (signal: AbortSignal) => {
      return this.connect({ remote: remoteAddress(target), port, owner, queue, timeout, signal })
    })
    race(attempts, raceDelayMs, ({ slot, generation }) => this.end(slot, generation, End.local, true)).then(
      id => this.#workers.post(queue, { kind: 'connected', ...id, service, token }),
      (error: FakeTcpError) => {
        this.counterPage[Counter.connectFailed] += 1
        this.#workers.post(queue, { kind: 'connectFailed', service, token, code: error.code, message: error.message })
      },
    )
  }

  #add(
    remote: Address,
    remotePort: number,
    localPort: number,
    owner: Owner,
    begin: { state: number; queue: number; nextSeq: number; nextAck: number },
    now: number,
  ): FlowId {
    const id = this.#table.add(
      {
        remote,
        remotePort,
        localPort,
        state: begin.state,
        homeQueue: begin.queue,
        consumer: owner.consumer,
        maxDatagram: this.#mtuTo(remote, this.device.mtu) - headersLength(remote.family),
        service: owner.service,
        token: owner.token,
        nextSeq: begin.nextSeq,
        nextAck: begin.nextAck,
      },
      now,
    )
    this.#owners[id.slot] = owner
    this.#floodFilter?.admit(id.slot)
    return id
  }

  #checkFamily({ family, text }: Address): void {
    if ((family === 4 ? this.address4 : this.address6) !== undefined) return
    throw new FakeTcpError(ErrorCode.NO_ADDRESS, `This stack has no IPv${family} address to reach ${text} from.`)
  }

  #purge(): void {
    if (this.#gone.length === 0) return
    this.#workers.broadcast({ kind: 'purge', gone: Int32Array.from(this.#gone) })
    this.#gone.length = 0
  }
}
