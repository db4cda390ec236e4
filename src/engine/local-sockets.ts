import { Counter, type CounterPage } from '../memory/counters.js'
import { Field, type FlowTable } from '../memory/flow-table.js'
import type { Egress } from '../workers/egress.js'
import type { LaneReader } from '../workers/lane.js'
import type { End } from '../workers/messages.js'
import type { SharedStack, StackMemory } from '../workers/shared-stack.js'
import { fromWords } from './address.js'
import { ChunkPool } from './chunk-pool.js'
import { Socket, type SocketHome } from './socket.js'

export interface LocalSocketsHooks {
  /** Ends the connection with RST. */
  end(socket: Socket): void
  /** Another thread may take the socket's connection over. */
  offered(socket: Socket): void
}

/** The sockets that one thread consumes: hands them what its lanes bring, and gives them their turn to write and to tidy up. */
export class LocalSockets implements SocketHome {
  readonly shared: SharedStack
  readonly flows: FlowTable
  readonly egress: Egress
  readonly chunks = new ChunkPool()
  readonly receiveBytes: number
  readonly end: LocalSocketsHooks['end']
  readonly offered: LocalSocketsHooks['offered']
  readonly #counters: CounterPage
  readonly #sockets: (Socket | undefined)[] = []
  readonly #dirty: Socket[] = []
  readonly #received: Socket[] = []
  #size = 0

  constructor(
    memory: StackMemory,
    counters: CounterPage,
    egress: Egress,
    receiveBytes: number,
    hooks: LocalSocketsHooks,
  ) {
    this.shared = memory.shared
    this.flows = memory.flows
    this.egress = egress
    this.receiveBytes = receiveBytes
    this.end = hooks.end
    this.offered = hooks.offered
    this.#counters = counters
  }

  get size(): number {
    return this.#size
  }

  get(slot: number, generation: number): Socket | undefined {
    const socket = this.#sockets[slot]
    return socket?.generation === generation ? socket : undefined
  }

  add(slot: number, generation: number): Socket {
    const family = this.flows.load(slot, Field.family)
    const local = fromWords(family, family === 4 ? this.shared.address4 : this.shared.address6).text
    const socket = new Socket(this, slot, generation, local)
    if (this.#sockets[slot] === undefined) this.#size++
    this.#sockets[slot] = socket
    return socket
  }

  /** The thread consumes this connection no longer. Its socket, when there was one. */
  remove(slot: number, generation: number): Socket | undefined {
    const socket = this.get(slot, generation)
    if (socket === undefined) return undefined
    this.#sockets[slot] = undefined
    this.#size--
    return socket
  }

  /** The connection is gone; call before its slot is. */
  ended(slot: number, generation: number, end: End): void {
    this.remove(slot, generation)?.ended(end)
  }

  /** What the thread's inbox does with a delivery. */
  deliver(lane: LaneReader, slot: number, generation: number, segmentSize: number, at: number, length: number): void {
    const socket = this.get(slot, generation)
    const taken = socket?.deliver(lane, at, length, segmentSize) ?? 0
    if (taken === length) return
    if (taken === 0) lane.release(at)
    const lost = Math.ceil((length - taken) / segmentSize)
    this.#counters[socket === undefined ? Counter.flowGone : Counter.receiveQueueFull] += lost
    if (socket !== undefined && this.flows.alive(slot, generation)) this.flows.bump(slot, Field.overflow, lost)
  }

  flushLater(socket: Socket): void {
    if (this.#dirty.length === 0) setImmediate(() => this.flush())
    this.#dirty.push(socket)
  }

  flush(): void {
    for (const socket of this.#dirty.splice(0)) socket.flush()
  }

  settleLater(socket: Socket): void {
    if (this.#received.length === 0) setImmediate(() => this.settle())
    this.#received.push(socket)
  }

  /** Copies what lies unread in a lane: in each turn, and before the lanes are closed. */
  settle(): void {
    for (const socket of this.#received) socket.settle()
    this.#received.length = 0
  }
}
