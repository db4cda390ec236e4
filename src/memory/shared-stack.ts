import { native } from '../native.js'
import { type CounterPage, counterPageBytes, counterPageLength } from './counters.js'
import { Doorbell } from './doorbell.js'
import { FlowTable } from './flow-table.js'
import { LaneReader, LaneWriter, laneBytes } from './lane.js'
import { TupleIndex } from './tuple-index.js'
import type { WorkerOptions } from './worker-options.js'

/**
 * Everything that a thread needs to take part in a stack, in a form that `postMessage` carries: shared memory,
 * descriptor numbers and constants.
 *
 * Threads are numbered. A queue worker has the number of its queue, from 0 to queues - 1. The coordinator's thread has
 * the next number. The numbers after it, `StackOptions.consumers` of them, are for threads that attach sockets.
 */
export interface SharedStack {
  /** Of the `FlowTable`. */
  readonly flows: SharedArrayBuffer
  /** Of the `TupleIndex`. */
  readonly index: SharedArrayBuffer
  /** One bit per port: 1 while somebody listens there (`listeningPorts`). */
  readonly listening: SharedArrayBuffer
  /** One page per thread (`CounterPage`). */
  readonly counters: SharedArrayBuffer
  /** One lane from each worker to each thread. */
  readonly lanes: SharedArrayBuffer
  /** Bytes of the blocks of each lane. */
  readonly laneCapacity: number
  /** One `Doorbell` per thread. */
  readonly bells: SharedArrayBuffer
  /** The eventfds of these doorbells. */
  readonly bellFds: readonly number[]
  /** One word per queue: when its worker last began a turn (`Heartbeat`). */
  readonly beats: SharedArrayBuffer
  /** Words by `Switch`: settings of the whole stack that may change while it is open. */
  readonly switches: SharedArrayBuffer
  /** One word for each thread number after the coordinator's: 1 while a thread has that number. */
  readonly claims: SharedArrayBuffer
  /** Name of the BroadcastChannel between those threads and the coordinator. */
  readonly channel: string
  readonly device: DeviceShape
  readonly options: WorkerOptions
  /** The stack's own addresses, as `Field.remote` has them: IPv4 in word 0. `has4` and `has6` say which exist. */
  readonly address4: Int32Array
  readonly address6: Int32Array
  readonly has4: boolean
  readonly has6: boolean
  /** Key of the SYN cookies: two words. */
  readonly cookieKey: Int32Array
}

/** Word offsets in `SharedStack.switches`. */
export const Switch = {
  /**
   * 0 while packets are written with virtio-net headers that ask the kernel to cut or sum them. Once it has refused
   * one: its errno. -1 when such headers failed the trial at the start.
   */
  headersRefused: 0,
  /** 1 while workers answer packets that belong to no connection (`Answering` sets it). */
  answering: 1,
  words: 2,
} as const

/** What a thread needs to know of the stack's TUN interface or virtual link. */
export interface DeviceShape {
  /** One descriptor per queue. The coordinator owns them, so they stay open when a worker dies. */
  readonly queues: readonly number[]
  /** Bytes of the virtio-net header in front of every packet. 0: there is none, and the device has no super-packets. */
  readonly virtioSize: 0 | 10 | 12
  readonly mtu: number
}

/** The set of ports on which somebody listens: one bit per port, set by the coordinator and read by the workers. */
export const listeningPorts = {
  isListening: (bits: Int32Array, port: number): boolean => ((Atomics.load(bits, port >> 5) >>> (port & 31)) & 1) === 1,
  setListening: (bits: Int32Array, port: number, on: boolean): void => {
    if (on) Atomics.or(bits, port >> 5, 1 << (port & 31))
    else Atomics.and(bits, port >> 5, ~(1 << (port & 31)))
  },
  bytes: 65_536 / 8,
} as const

/** One thread's view of the stack's shared memory. */
export class StackMemory {
  readonly shared: SharedStack
  readonly flows: FlowTable
  readonly index: TupleIndex
  readonly listening: Int32Array
  /** Words by `Switch`. */
  readonly switches: Int32Array
  /** How many thread numbers there are. */
  readonly threads: number

  constructor(shared: SharedStack) {
    this.shared = shared
    this.flows = new FlowTable(shared.flows)
    this.index = new TupleIndex(shared.index, this.flows)
    this.listening = new Int32Array(shared.listening)
    this.switches = new Int32Array(shared.switches)
    this.threads = shared.bellFds.length
  }

  counters(thread: number): CounterPage {
    return new Float64Array(this.shared.counters, thread * counterPageBytes, counterPageLength)
  }

  bell(thread: number): Doorbell {
    return new Doorbell(this.shared.bells, thread * Doorbell.bytes, this.shared.bellFds[thread], native.eventRing)
  }

  /** The worker's end of the lane from `worker` to `consumer`. Rings the consumer's doorbell. */
  laneTo(consumer: number, worker: number): LaneWriter {
    const bell = this.bell(consumer)
    const { lanes, laneCapacity } = this.shared
    return new LaneWriter(lanes, this.#laneAt(worker, consumer), laneCapacity, () => bell.ring())
  }

  /** The consumer's end of the same lane. */
  laneFrom(worker: number, consumer: number): LaneReader {
    const { lanes, laneCapacity } = this.shared
    return new LaneReader(lanes, this.#laneAt(worker, consumer), laneCapacity)
  }

  #laneAt(worker: number, consumer: number): number {
    return (worker * this.threads + consumer) * laneBytes(this.shared.laneCapacity)
  }

  static laneBytes(workers: number, threads: number, capacity: number): number {
    return workers * threads * laneBytes(capacity)
  }
}
