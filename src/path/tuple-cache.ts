import { type FlowId, FlowRef, type FlowTable } from '../memory/flow-table.js'
import type { Tuple } from '../memory/tuple.js'
import { hash } from '../memory/tuple-hash.js'

/** Word offsets within an entry. */
const Entry = { slot: 0, generation: 1, ports: 2, r0: 3, r1: 4, r2: 5, r3: 6, family: 7, words: 8 } as const

/**
 * One worker's private cache of the tuples that it has looked up in the tuple index. It is direct-mapped. An entry
 * counts only while its flow is alive, so nobody has to remove the entries of connections that ended.
 */
export class TupleCache {
  readonly #words: Int32Array
  readonly #mask: number
  readonly #flows: FlowTable
  /** The flow that the last successful `find` found. */
  readonly found = new FlowRef()

  /** `entries` is a power of two. */
  constructor(flows: FlowTable, entries: number) {
    this.#words = new Int32Array(entries * Entry.words)
    this.#mask = entries - 1
    this.#flows = flows
    for (let at = 0; at < this.#words.length; at += Entry.words) this.#words[at] = -1
  }

  /** Returns the slot of the tuple's flow, and `found` names the flow; or -1. */
  find(s: Tuple): number {
    const words = this.#words
    const at = this.#place(s)
    const slot = words[at]
    if (
      slot < 0 ||
      words[at + Entry.ports] !== s.ports ||
      words[at + Entry.r0] !== s.r0 ||
      words[at + Entry.r3] !== s.r3 ||
      words[at + Entry.r2] !== s.r2 ||
      words[at + Entry.r1] !== s.r1 ||
      words[at + Entry.family] !== s.family
    ) {
      return -1
    }
    const { found } = this
    found.slot = slot
    found.generation = words[at + Entry.generation]
    return this.#flows.alive(found) ? slot : -1
  }

  /** Enters a tuple, in place of the one that has its entry. */
  learn(s: Tuple, { slot, generation }: FlowId): void {
    const words = this.#words
    const at = this.#place(s)
    words[at + Entry.slot] = slot
    words[at + Entry.generation] = generation
    words[at + Entry.ports] = s.ports
    words[at + Entry.r0] = s.r0
    words[at + Entry.r1] = s.r1
    words[at + Entry.r2] = s.r2
    words[at + Entry.r3] = s.r3
    words[at + Entry.family] = s.family
  }

  #place(s: Tuple): number {
    return (hash(0, s) & this.#mask) * Entry.words
  }
}
