import { Counter, type CounterPage } from '../memory/counters.js'
import { Field, type FlowId, type FlowTable } from '../memory/flow-table.js'
import type { LaneReader } from '../memory/lane.js'
import type { SharedStack, StackMemory } from '../memory/shared-stack.js'
import { datagramsIn, type Span } from '../memory/span.js'
import { fromWords } from '../net/address.js'
import type { Egress } from '../path/egress.js'
import type { End } from '../path/messages.js'
import { ChunkPool } from './chunk-pool.js'
import type { Residue } from './transfer-messages.js'

/** What a thread does with a socket. */
export interface HeldSocket extends FlowId {
  /**
   * Takes datagrams of a delivery, and returns their bytes. If it takes any it releases the delivery, once they are
   * read or copied.
   */
  deliver(lane: LaneReader, span: Span): number
  /** Writes the open super-packet. */
  flush(): void
  /** Copies what was not read out of the lane. */
  leaveLane(): void
  /** The connection has ended. */
  ended(end: End): void
  /** Takes what the previous thread had received and not read. It comes before everything else. */
  receivedBefore(residue: readonly Residue[]): void
  /** Another thread takes the connection over. Returns copies of what was not read. */
  surrender(): Residue[]
}

/** What a socket needs from its thread. */
export interface SocketHome {
  readonly flows: FlowTable
  readonly egress: Egress
  readonly chunks: ChunkPool
  /** As `StackOptions.receiveBytes`. */
  readonly receiveBytes: number
  /** Calls the socket's `flush` at the end of this turn. */
  flushLater(socket: HeldSocket): void
  /** Calls the socket's `leaveLane` after its readers have had a turn. */
  leaveLaneLater(socket: HeldSocket): void
  readonly shared: SharedStack
  /** Ends the connection with RST. */
  end(flow: FlowId): void
  /** From now on another thread may take the socket's connection over. */
  offered(socket: HeldSocket): void
}

/** Makes the socket of a connection. */
export type MakeSocket<S> = (home: SocketHome, flow: FlowId, localAddress: string) => S

export interface LocalSocketsHooks<S> extends Pick<SocketHome, 'end' | 'offered'> {
  make: MakeSocket<S>
}

/**
 * The sockets of one thread in one stack. Hands them what the lanes bring, and calls them at the end of a turn to write
 * and to leave their lanes.
 */
export class LocalSockets<S extends HeldSocket> implements SocketHome {
  readonly shared: SharedStack
  readonly flows: FlowTable
  readonly egress: Egress
  readonly chunks = new ChunkPool()
  readonly receiveBytes: number
  readonly end: SocketHome['end']
  readonly offered: SocketHome['offered']
  readonly #make: MakeSocket<S>
  readonly #counters: CounterPage
  /** By slot. */
  readonly #sockets: (S | undefined)[] = []
  /** Sockets to flush. */
  readonly #dirty: HeldSocket[] = []
  /** Sockets that are to leave their lanes. */
  readonly #received: HeldSocket[] = []
  #size = 0

  constructor(
    memory: StackMemory,
    counters: CounterPage,
    egress: Egress,
    receiveBytes: number,
    hooks: LocalSocketsHooks<S>,
  ) {
    this.shared = memory.shared
    this.flows = memory.flows
    this.egress = egress
    this.receiveBytes = receiveBytes
    this.end = hooks.end
    this.offered = hooks.offered
    this.#make = hooks.make
    this.#counters = counters
  }

  /** Number of sockets. */
  get size(): number {
    return this.#size
  }

  get({ slot, generation }: FlowId): S | undefined {
    const socket = this.#sockets[slot]
    return socket?.generation === generation ? socket : undefined
  }

  /** Makes the socket of a connection. */
  add(flow: FlowId): S {
    const { slot } = flow
    const family = this.flows.load(slot, Field.family)
    const local = fromWords(family, family === 4 ? this.shared.address4 : this.shared.address6).text
    const socket = this.#make(this, flow, local)
    if (this.#sockets[slot] === undefined) this.#size++
    this.#sockets[slot] = socket
    return socket
  }

  /** Another thread consumes this connection now, or it has ended. Returns its socket if there was one. */
  remove(flow: FlowId): S | undefined {
    const socket = this.get(flow)
    if (socket === undefined) return undefined
    this.#sockets[flow.slot] = undefined
    this.#size--
    return socket
  }

  /** The connection has ended. Call while its slot still has its counters. */
  ended(flow: FlowId, end: End): void {
    this.remove(flow)?.ended(end)
  }

  /** Hands a delivery to its socket. Counts the datagrams that have none, and those that it has no room for. */
  deliver(lane: LaneReader, flow: FlowId, span: Span): void {
    const socket = this.get(flow)
    const { at, length, segmentSize } = span
    const taken = socket?.deliver(lane, span) ?? 0
    if (taken === length) return
    if (taken === 0) lane.release(at)
    const lost = datagramsIn(length - taken, segmentSize)
    this.#counters[socket === undefined ? Counter.flowGone : Counter.receiveQueueFull] += lost
    if (socket !== undefined && this.flows.alive(flow)) this.flows.bump(flow.slot, Field.overflow, lost)
  }

  flushLater(socket: HeldSocket): void {
    if (this.#dirty.length === 0) setImmediate(() => this.flush())
    this.#dirty.push(socket)
  }

  /** Flushes every socket that has an open super-packet. */
  flush(): void {
    for (const socket of this.#dirty.splice(0)) socket.flush()
  }

  leaveLaneLater(socket: HeldSocket): void {
    if (this.#received.length === 0) setImmediate(() => this.leaveLanes())
    this.#received.push(socket)
  }

  /** Copies what was not read out of the lanes. Runs at the end of a turn; call before the lanes are closed. */
  leaveLanes(): void {
    for (const socket of this.#received) socket.leaveLane()
    this.#received.length = 0
  }
}
