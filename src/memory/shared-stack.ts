import { native } from '../native.js'
import { type CounterPage, counterPageBytes, counterPageLength } from './counters.js'
import { Doorbell } from './doorbell.js'
import { FlowTable } from './flow-table.js'
import { LaneReader, LaneWriter, laneBytes } from './lane.js'
import { TupleIndex } from './tuple-index.js'
import type { WorkerOptions } from './worker-options.js'

/**
 * Everything that a thread needs to take part in a stack, in a form that `postMessage` carries: shared memory,
 * descriptor numbers and constants. Threads are numbered: queue workers 0 … queues - 1 (their queue's number), then the
 * coordinator, then as many others as the stack was told that sockets may be transferred to.
 */
export interface SharedStack {
  readonly flows: SharedArrayBuffer
  readonly index: SharedArrayBuffer
  /** One bit per listening port. */
  readonly listening: SharedArrayBuffer
  readonly counters: SharedArrayBuffer
  readonly lanes: SharedArrayBuffer
  /** Bytes of packets that each lane holds. */
  readonly laneCapacity: number
  readonly bells: SharedArrayBuffer
  /** One eventfd per thread. */
  readonly bellFds: readonly number[]
  /** One word per queue: when its worker last had a turn (`Heartbeat`). */
  readonly beats: SharedArrayBuffer
  /** Words of `Switch`: what holds for the whole stack and may change while it is open. */
  readonly switches: SharedArrayBuffer
  /** One word per thread after the coordinator: 1 while somebody has that number. */
  readonly claims: SharedArrayBuffer
  /** Name of the BroadcastChannel on which those threads and the coordinator speak. */
  readonly channel: string
  readonly device: DeviceShape
  readonly options: WorkerOptions
  /** Local addresses as big-endian-valued words: IPv4 uses word 0. `has4`/`has6` tell which exist. */
  readonly address4: Int32Array
  readonly address6: Int32Array
  readonly has4: boolean
  readonly has6: boolean
  /** Key of the SYN cookies: two words. */
  readonly cookieKey: Int32Array
}

export const Switch = {
  /** Number of the error with which the kernel refused virtio-net headers that ask for something; 0: it takes them. */
  headersRefused: 0,
  /** 1 while packets of no connection are answered: not at the beginning, and not at the end. */
  answering: 1,
  words: 2,
} as const

export interface DeviceShape {
  /** One descriptor per queue; the coordinator owns them, so that they outlive a worker. */
  readonly queues: readonly number[]
  /** Bytes of virtio-net header in front of every packet; 0: the device has none, and carries no super-packets. */
  readonly virtioSize: 0 | 10 | 12
  readonly mtu: number
}

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
  /** By `Switch`. */
  readonly switches: Int32Array
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

  /** This worker's end of its lane to `consumer`. */
  laneTo(consumer: number, worker: number): LaneWriter {
    const bell = this.bell(consumer)
    const { lanes, laneCapacity } = this.shared
    return new LaneWriter(lanes, this.#laneAt(worker, consumer), laneCapacity, () => bell.ring())
  }

  /** This consumer's end of its lane from `worker`. */
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
