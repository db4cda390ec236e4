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

/** What a socket is to the thread it lives on. */
export interface HeldSocket extends FlowId {
  /** Bytes that it took of a delivery; the lane keeps them until it gives them back. */
  deliver(lane: LaneReader, span: Span): number
  flush(): void
  /** Copies what it holds in a lane and was not read. */
  leaveLane(): void
  ended(end: End): void
  /** What came before this thread had it, and was not read there. */
  receivedBefore(residue: readonly Residue[]): void
  /** Ends here, and gives what was not read. */
  surrender(): Residue[]
}

/** What a socket needs from the thread it lives on. */
export interface SocketHome {
  readonly flows: FlowTable
  readonly egress: Egress
  readonly chunks: ChunkPool
  readonly receiveBytes: number
  /** The socket has an open super-packet: flush it at the end of this turn. */
  flushLater(socket: HeldSocket): void
  /** The socket got datagrams: it leaves its lane when its readers had their turn. */
  leaveLaneLater(socket: HeldSocket): void
  readonly shared: SharedStack
  /** Ends the connection with RST. */
  end(flow: FlowId): void
  /** Another thread may take the socket's connection over. */
  offered(socket: HeldSocket): void
}

/** Makes the socket of a connection. */
export type MakeSocket<S> = (home: SocketHome, flow: FlowId, localAddress: string) => S

export interface LocalSocketsHooks<S> extends Pick<SocketHome, 'end' | 'offered'> {
  make: MakeSocket<S>
}

/**
 * The sockets that one thread consumes: hands them what its lanes bring, and gives them their turn to write and to tidy
 * up.
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
  readonly #sockets: (S | undefined)[] = []
  readonly #dirty: HeldSocket[] = []
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

  get size(): number {
    return this.#size
  }

  get({ slot, generation }: FlowId): S | undefined {
    const socket = this.#sockets[slot]
    return socket?.generation === generation ? socket : undefined
  }

  add(flow: FlowId): S {
    const { slot } = flow
    const family = this.flows.load(slot, Field.family)
    const local = fromWords(family, family === 4 ? this.shared.address4 : this.shared.address6).text
    const socket = this.#make(this, flow, local)
    if (this.#sockets[slot] === undefined) this.#size++
    this.#sockets[slot] = socket
    return socket
  }

  /** The thread consumes this connection no longer. Its socket, when there was one. */
  remove(flow: FlowId): S | undefined {
    const socket = this.get(flow)
    if (socket === undefined) return undefined
    this.#sockets[flow.slot] = undefined
    this.#size--
    return socket
  }

  /** The connection is gone. Call before its slot is freed. */
  ended(flow: FlowId, end: End): void {
    this.remove(flow)?.ended(end)
  }

  /** What the thread's inbox does with a delivery. */
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

  flush(): void {
    for (const socket of this.#dirty.splice(0)) socket.flush()
  }

  leaveLaneLater(socket: HeldSocket): void {
    if (this.#received.length === 0) setImmediate(() => this.leaveLanes())
    this.#received.push(socket)
  }

  /** Copies what lies unread in a lane: in each turn, and before the lanes are closed. */
  leaveLanes(): void {
    for (const socket of this.#received) socket.leaveLane()
    this.#received.length = 0
  }
}
