import { ErrorCode, FakeTcpError } from '../errors.js'
import { Field, type FlowId, type FlowTable, State } from '../memory/flow-table.js'
import { Lookup, type TupleIndex } from '../memory/tuple-index.js'
import type { Address } from '../net/address.js'

/**
 * Milliseconds that a closed tuple stays in quarantine, so that late packets of the old connection cannot meet a new
 * one.
 */
const quarantineMs = 2_000
/**
 * Milliseconds that this stack does not use a closed tuple for a connection of its own. Its peer may be a stack like
 * this one that heard later of the end, and whose quarantine ends later by as much: it would turn the new connection
 * down.
 */
const reuseMs = 3_000
/**
 * Milliseconds that a freed slot rests. A thread that checked the slot's generation just before has finished with it by
 * then.
 */
const restMs = 100

export interface NewFlow {
  readonly remote: Address
  readonly remotePort: number
  readonly localPort: number
  readonly state: number
  readonly homeQueue: number
  readonly consumer: number
  readonly maxDatagram: number
  readonly service: number
  readonly token: number
  readonly nextSeq: number
  readonly nextAck: number
}

/**
 * The coordinator's table of connections. It alone writes the identity of flows, and the tuple index. Times are in
 * milliseconds.
 */
export class TupleTable {
  readonly flows: FlowTable
  readonly index: TupleIndex
  #used = 0
  #fresh = 0
  /** Freed slots, oldest first. Each may be used again from `until` on. */
  readonly #resting: { slot: number; until: number }[] = []
  #restingFrom = 0
  /** When each tuple was closed, oldest first. */
  readonly #closedAt = new Map<string, number>()

  constructor(flows: FlowTable, index: TupleIndex) {
    this.flows = flows
    this.index = index
  }

  get size(): number {
    return this.#used
  }

  /** Slots from this one on were never used. */
  get highWater(): number {
    return this.#fresh
  }

  /** Slot of a connection, or -1. */
  find(remote: Address, remotePort: number, localPort: number): number {
    const [r0, r1, r2, r3] = remote.words
    const slot = this.index.find({ family: remote.family, ports: (remotePort << 16) | localPort, r0, r1, r2, r3 })
    return slot === Lookup.contended ? Lookup.missing : slot
  }

  /** Whether the tuple is in quarantine: a peer's new connection is turned down. */
  quarantined(remote: Address, remotePort: number, localPort: number, now: number): boolean {
    return this.#sinceClose(tupleKey(remote, remotePort, localPort), now) < quarantineMs
  }

  /** Whether this stack may use the tuple for a connection of its own. */
  reusable(remote: Address, remotePort: number, localPort: number, now: number): boolean {
    return this.#sinceClose(tupleKey(remote, remotePort, localPort), now) >= reuseMs
  }

  /** Milliseconds since the tuple was closed. */
  #sinceClose(key: string, now: number): number {
    for (const [oldest, closedAt] of this.#closedAt) {
      if (now - closedAt < reuseMs) break
      this.#closedAt.delete(oldest)
    }
    return now - (this.#closedAt.get(key) ?? Number.NEGATIVE_INFINITY)
  }

  /** Takes a slot and makes it findable. Throws TABLE_FULL. */
  add(flow: NewFlow, now: number): FlowId {
    const slot = this.#takeSlot(now)
    const { flows } = this
    const base = flows.base(slot)
    flows.retire(slot)
    flows.clear(slot)
    const { words } = flows
    words[base + Field.family] = flow.remote.family
    words[base + Field.ports] = (flow.remotePort << 16) | flow.localPort
    words.set(flow.remote.words, base + Field.remote)
    words[base + Field.homeQueue] = flow.homeQueue
    words[base + Field.consumer] = flow.consumer
    words[base + Field.maxDatagram] = flow.maxDatagram
    words[base + Field.service] = flow.service
    words[base + Field.token] = flow.token
    words[base + Field.state] = flow.state
    words[base + Field.lastSeen] = now | 0
    this.setNumbers(slot, flow.nextSeq, flow.nextAck, now)
    const generation = flows.publish(slot)
    this.index.insert(slot)
    this.#used++
    return { slot, generation }
  }

  setNumbers(slot: number, nextSeq: number, nextAck: number, now: number): void {
    const { flows } = this
    flows.store(slot, Field.nextSeq, nextSeq)
    flows.store(slot, Field.peerAck, nextSeq)
    flows.store(slot, Field.nextAck, nextAck)
    flows.store(slot, Field.sentAck, nextAck)
    flows.store(slot, Field.sentAckAt, now | 0)
  }

  /** Ends a connection for every thread at once. Its tuple goes into quarantine, and its slot rests. */
  remove(slot: number, remote: Address, remotePort: number, localPort: number, now: number): void {
    this.index.remove(slot)
    this.flows.store(slot, Field.state, State.free)
    this.flows.retire(slot)
    this.#used--
    this.#resting.push({ slot, until: now + restMs })
    const key = tupleKey(remote, remotePort, localPort)
    this.#closedAt.delete(key)
    this.#closedAt.set(key, now)
  }

  #takeSlot(now: number): number {
    const oldest = this.#resting[this.#restingFrom]
    if (oldest !== undefined && oldest.until <= now) {
      this.#restingFrom++
      if (this.#restingFrom > 1024 && this.#restingFrom * 2 > this.#resting.length) {
        this.#resting.splice(0, this.#restingFrom)
        this.#restingFrom = 0
      }
      return oldest.slot
    }
    if (this.#fresh < this.flows.capacity) return this.#fresh++
    throw new FakeTcpError(
      ErrorCode.TABLE_FULL,
      `All ${this.flows.capacity} connections are in use: raise \`maxConnections\`, or close some.`,
    )
  }
}

const tupleKey = (remote: Address, remotePort: number, localPort: number): string =>
  `${remote.words.join()},${remotePort},${localPort}`
