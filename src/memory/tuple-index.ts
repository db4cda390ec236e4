import { Field, type FlowTable } from './flow-table.js'
import type { Tuple } from './tuple.js'
import { hash } from './tuple-hash.js'

/** What `TupleIndex.find` returns when it finds no slot. */
export const Lookup = { missing: -1, contended: -2 } as const

const attempts = 8

/**
 * A hash table in shared memory that finds the slot of a tuple. Only the coordinator writes it. Every worker reads it,
 * without a lock.
 *
 * It uses open addressing with linear probing. An entry is slot + 1, and 0 means empty; the tuple itself is in the
 * flow's slot. A removal moves later entries back, so a reader can pass an entry while it moves, and miss it.
 *
 * - A hit is certain: tuple and even generation were the same before and after the comparison.
 * - A miss counts only when `version` was even and did not change during the search. Otherwise the reader searches
 *   again.
 *
 * The hash has a seed per stack. Nobody outside knows it, so nobody can choose many tuples that share a place.
 */
export class TupleIndex {
  readonly shared: SharedArrayBuffer
  readonly #entries: Int32Array
  readonly #mask: number
  readonly #seed: number
  readonly #flows: FlowTable
  /** Generation of the slot that the last successful `find` returned. */
  generation = 0

  /**
   * Allocates an index for all slots of `flows`. Word 0 is the version, word 1 the seed, and the entries begin at byte
   * 64. There are at least twice as many entries as slots.
   */
  static allocate(flows: FlowTable, seed: number): TupleIndex {
    let entries = 64
    while (entries < flows.capacity * 2) entries *= 2
    const shared = new SharedArrayBuffer(64 + entries * 4)
    new Int32Array(shared)[1] = seed
    return new TupleIndex(shared, flows)
  }

  /** Attaches to an index that another thread allocated. */
  constructor(shared: SharedArrayBuffer, flows: FlowTable) {
    this.shared = shared
    this.#entries = new Int32Array(shared)
    this.#mask = (shared.byteLength - 64) / 4 - 1
    this.#seed = this.#entries[1]
    this.#flows = flows
  }

  /** Any thread. Slot of the tuple, `Lookup.missing`, or `Lookup.contended` when the index changed in each attempt. */
  find(tuple: Tuple): number {
    const { family, ports, r0, r1, r2, r3 } = tuple
    const words = this.#flows.words
    for (let attempt = 0; attempt < attempts; attempt++) {
      const version = Atomics.load(this.#entries, 0)
      let at = hash(this.#seed, tuple) & this.#mask
      for (;;) {
        const slot = Atomics.load(this.#entries, 16 + at) - 1
        if (slot < 0) break
        const base = this.#flows.base(slot)
        const generation = Atomics.load(words, base)
        if (
          words[base + Field.ports] === ports &&
          words[base + Field.remote] === r0 &&
          words[base + Field.remote + 1] === r1 &&
          words[base + Field.remote + 2] === r2 &&
          words[base + Field.remote + 3] === r3 &&
          words[base + Field.family] === family &&
          (generation & 1) === 0 &&
          Atomics.load(words, base) === generation
        ) {
          this.generation = generation
          return slot
        }
        at = (at + 1) & this.#mask
      }
      if ((version & 1) === 0 && Atomics.load(this.#entries, 0) === version) return Lookup.missing
    }
    return Lookup.contended
  }

  /** Coordinator only, after `FlowTable.publish`. */
  insert(slot: number): void {
    let at = this.#home(slot)
    while (this.#entries[16 + at] !== 0) at = (at + 1) & this.#mask
    Atomics.store(this.#entries, 16 + at, slot + 1)
  }

  /** Coordinator only. Call while the slot still has the tuple with which it was inserted. */
  remove(slot: number): void {
    let hole = this.#home(slot)
    while (this.#entries[16 + hole] !== slot + 1) {
      if (this.#entries[16 + hole] === 0) return
      hole = (hole + 1) & this.#mask
    }
    Atomics.add(this.#entries, 0, 1)
    for (let at = (hole + 1) & this.#mask; this.#entries[16 + at] !== 0; at = (at + 1) & this.#mask) {
      const home = this.#home(this.#entries[16 + at] - 1)
      // An entry may move back into the hole, unless its home lies behind the hole: cyclically within (hole, at].
      if (((at - home) & this.#mask) >= ((at - hole) & this.#mask)) {
        Atomics.store(this.#entries, 16 + hole, this.#entries[16 + at])
        hole = at
      }
    }
    Atomics.store(this.#entries, 16 + hole, 0)
    Atomics.add(this.#entries, 0, 1)
  }

  #home(slot: number): number {
    return hash(this.#seed, this.#flows.tuple(slot)) & this.#mask
  }
}
