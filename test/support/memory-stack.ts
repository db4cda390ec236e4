/** The shared memory of a stack without its threads: the device is one end of a pair, the test holds the other. */
import { randomUUID } from 'node:crypto'
import { counterNames, counterPageBytes } from '../../src/memory/counters.js'
import { Doorbell } from '../../src/memory/doorbell.js'
import { Field, type FlowId, FlowTable, State } from '../../src/memory/flow-table.js'
import { listeningPorts, type SharedStack, StackMemory, Switch } from '../../src/memory/shared-stack.js'
import { TupleIndex } from '../../src/memory/tuple-index.js'
import { workerNumbers } from '../../src/memory/worker-options.js'
import { Errno, native } from '../../src/native.js'
import { resolveNumbers } from '../../src/numbers.js'
import { type Emitted, readFrame } from './emitted.js'
import { local4, local6, ports, remote4, remote6, type VirtioSize } from './packets.js'

export interface FlowFields {
  family?: 4 | 6
  /** remote port << 16 | local port */
  ports?: number
  /** Last word of the remote address. */
  remote?: number
  state?: number
  nextSeq?: number
  nextAck?: number
  ipId?: number
  homeQueue?: number
  consumer?: number
  service?: number
  token?: number
  /** When `nextAck` was last sent. */
  sentAckAt?: number
}

export interface MemoryStackOptions {
  virtioSize?: VirtioSize
  queues?: number
  capacity?: number
  laneCapacity?: number
  families?: readonly (4 | 6)[]
  /** Threads that sockets may be transferred to. */
  consumers?: number
}

/** Counts that nearly every packet raises. */
const everyday = new Set(['packetsIn', 'packetsOut', 'cacheMisses'])

export class MemoryStack {
  readonly shared: SharedStack
  readonly memory: StackMemory
  /** The test's ends of the queues. */
  readonly peers: number[] = []
  readonly #seen = new Map<string, number>()
  readonly #bytes = new Uint8Array(70_000)
  #nextSlot = 0

  constructor(options: MemoryStackOptions = {}) {
    const { virtioSize = 0, queues = 1, capacity = 16, laneCapacity = 512 * 1024, families = [4, 6] } = options
    const { consumers = 0 } = options
    const threads = queues + 1 + consumers
    const devices: number[] = []
    for (let i = 0; i < queues; i++) {
      const ends = new Int32Array(2)
      if (native.pairOpen(ends) !== 0) throw new Error('pairOpen')
      devices.push(ends[0])
      this.peers.push(ends[1])
    }
    const flows = FlowTable.allocate(capacity)
    this.shared = {
      flows: flows.shared,
      index: TupleIndex.allocate(flows, 0x5eed).shared,
      listening: new SharedArrayBuffer(listeningPorts.bytes),
      counters: new SharedArrayBuffer(threads * counterPageBytes),
      lanes: new SharedArrayBuffer(StackMemory.laneBytes(queues, threads, laneCapacity)),
      laneCapacity,
      bells: new SharedArrayBuffer(threads * Doorbell.bytes),
      bellFds: Array.from({ length: threads }, () => native.eventOpen()),
      beats: new SharedArrayBuffer(queues * 4),
      switches: new SharedArrayBuffer(Switch.words * 4),
      claims: new SharedArrayBuffer(consumers * 4),
      channel: `memory stack ${randomUUID()}`,
      options: resolveNumbers(workerNumbers, {}),
      device: { queues: devices, virtioSize, mtu: 1500 },
      address4: Int32Array.of(local4, 0, 0, 0),
      address6: Int32Array.from(local6),
      has4: families.includes(4),
      has6: families.includes(6),
      cookieKey: Int32Array.of(0x03020100, 0x07060504),
    }
    this.memory = new StackMemory(this.shared)
    this.memory.switches[Switch.answering] = 1
  }

  /** A flow of the tuple that `frame` uses, or of another one; established at seq 1000, ack 5000 unless told. */
  add(fields: FlowFields = {}): FlowId {
    const { flows, index } = this.memory
    const slot = this.#nextSlot++ % flows.capacity
    const base = flows.base(slot)
    flows.retire(slot)
    flows.clear(slot)
    const { words } = flows
    const { family = 4, nextSeq = 1000, nextAck = 5000 } = fields
    words[base + Field.family] = family
    words[base + Field.ports] = fields.ports ?? ports
    words.set(family === 4 ? [remote4] : remote6, base + Field.remote)
    if (fields.remote !== undefined) words[base + Field.remote + (family === 4 ? 0 : 3)] = fields.remote
    words[base + Field.state] = fields.state ?? State.established
    words[base + Field.homeQueue] = fields.homeQueue ?? 0
    words[base + Field.consumer] = fields.consumer ?? 1
    words[base + Field.maxDatagram] = family === 4 ? 1460 : 1440
    words[base + Field.service] = fields.service ?? -1
    words[base + Field.token] = fields.token ?? 0
    words[base + Field.ipId] = fields.ipId ?? 0
    words[base + Field.sentAckAt] = fields.sentAckAt ?? 0
    for (const field of [Field.nextSeq, Field.peerAck]) words[base + field] = nextSeq
    for (const field of [Field.nextAck, Field.sentAck]) words[base + field] = nextAck
    const generation = flows.publish(slot)
    index.insert(slot)
    return { slot, generation }
  }

  end({ slot }: FlowId): void {
    const { flows, index } = this.memory
    index.remove(slot)
    flows.store(slot, Field.state, State.free)
    flows.retire(slot)
  }

  listen(port: number): void {
    listeningPorts.setListening(this.memory.listening, port, true)
  }

  /** Next packet written on a queue, undefined when there is none. */
  take(queue = 0): Uint8Array | undefined {
    const length = native.read(this.peers[queue], this.#bytes, 0, this.#bytes.length)
    if (length === -Errno.EAGAIN) return undefined
    if (length <= 0) throw new Error(`read: ${length}`)
    return this.#bytes.slice(0, length)
  }

  /** Everything that was written on a queue and not taken yet. */
  emitted(queue = 0): Emitted[] {
    const frames: Emitted[] = []
    for (let bytes = this.take(queue); bytes !== undefined; bytes = this.take(queue)) {
      frames.push(readFrame(bytes, this.shared.device.virtioSize))
    }
    return frames
  }

  /** What a thread's counters rose by since the last call, without the everyday ones. */
  raised(thread = 0): Record<string, number> {
    const rose: Record<string, number> = {}
    const page = this.memory.counters(thread)
    for (const [i, name] of counterNames.entries()) {
      const key = `${thread} ${name}`
      const by = page[i] - (this.#seen.get(key) ?? 0)
      this.#seen.set(key, page[i])
      if (by !== 0 && !everyday.has(name)) rose[name] = by
    }
    return rose
  }

  close(): void {
    for (const fd of [...this.shared.device.queues, ...this.peers, ...this.shared.bellFds]) native.close(fd)
  }
}
