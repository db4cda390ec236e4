import fc from 'fast-check'
import t from 'tap'
import { Field, FlowTable } from '../../src/memory/flow-table.js'
import type { Tuple } from '../../src/memory/tuple.js'
import { hash } from '../../src/memory/tuple-hash.js'
import { Lookup, TupleIndex } from '../../src/memory/tuple-index.js'
import { randomNumbers } from '../support/random.js'
import { runThread, waitUntil } from '../support/threads.js'
import type { IndexAnswer, IndexTask } from './tuple-index-worker.js'

const seed = 0x1badcafe

/** A peer with an IPv4 address. */
const tuple4 = (ports: number, r0: number): Tuple => ({ family: 4, ports, r0, r1: 0, r2: 0, r3: 0 })

const publish = (flows: FlowTable, slot: number, { family, ports, r0, r1, r2, r3 }: Tuple): number => {
  flows.retire(slot)
  flows.clear(slot)
  const base = flows.base(slot)
  flows.words[base + Field.family] = family
  flows.words[base + Field.ports] = ports
  flows.words.set([r0, r1, r2, r3], base + Field.remote)
  return flows.publish(slot)
}

const open = (capacity: number) => {
  const flows = FlowTable.allocate(capacity)
  return { flows, index: TupleIndex.allocate(flows, seed) }
}

t.test('every word of a tuple counts', async t => {
  const { flows, index } = open(4)
  const tuple: Tuple = { family: 6, ports: -7, r0: 1, r1: 2, r2: 3, r3: 4 }
  const generation = publish(flows, 2, tuple)
  t.equal(index.find(tuple), Lookup.missing, 'published is not yet findable')
  index.insert(2)
  t.equal(index.find(tuple), 2)
  t.equal(index.generation, generation)
  for (const [name, word] of Object.entries(tuple)) {
    t.equal(index.find({ ...tuple, [name]: word ^ 2 }), Lookup.missing, name)
  }
  t.equal(new TupleIndex(index.shared, flows).find(tuple), 2, 'attached to what another thread allocated')
  flows.retire(2)
  t.equal(index.find(tuple), Lookup.missing, 'a retired slot is nobody')
  index.remove(2)
  index.remove(2)
  t.equal(index.find(tuple), Lookup.missing)
})

t.test('the hash depends on every word and on the seed', async t => {
  const words = { ports: 1, r0: 2, r1: 3, r2: 4, r3: 5 }
  const tuple: Tuple = { family: 6, ...words }
  const seen = new Set([hash(0, tuple), hash(1, tuple)])
  for (const [name, word] of Object.entries(words)) {
    for (let bit = 0; bit < 32; bit++) seen.add(hash(0, { ...tuple, [name]: word ^ (1 << bit) }))
  }
  t.equal(seen.size, 2 + 5 * 32)
  const buckets = new Array<number>(64).fill(0)
  for (let port = 32_768; port < 32_768 + 6400; port++) {
    buckets[hash(seed, tuple4((port << 16) | 4567, 0xc0a8c901)) & 63]++
  }
  t.ok(Math.max(...buckets) < 200 && Math.min(...buckets) > 30, 'neighbouring ports spread')
})

t.test('room: at most half of the entries are used', async t => {
  for (const capacity of [1, 31, 32, 33, 1000]) {
    const { flows, index } = open(capacity)
    t.ok((index.shared.byteLength - 64) / 4 >= 2 * capacity)
    for (let slot = 0; slot < capacity; slot++) {
      publish(flows, slot, tuple4(slot, 9))
      index.insert(slot)
    }
    let wrong = 0
    for (let slot = 0; slot < capacity; slot++) if (index.find(tuple4(slot, 9)) !== slot) wrong++
    t.equal(wrong, 0, `${capacity}`)
    t.equal(index.find(tuple4(capacity, 9)), Lookup.missing, 'a full table still answers')
  }
})

/** Tuples whose probes all begin in six neighbouring places, around the end of the 64 entries: chains, collisions, wrap. */
const crowd = (count: number, ports: (i: number) => number): Tuple[] => {
  const tuples: Tuple[] = []
  for (let r0 = 1; tuples.length < count; r0++) {
    const tuple = tuple4(ports(tuples.length), r0)
    const home = hash(seed, tuple) & 63
    if (home >= 61 || home < 3) tuples.push(tuple)
  }
  return tuples
}

t.test('any sequence of insert, remove and find, as a Map would do it', async () => {
  const capacity = 32
  const tuples = crowd(48, i => i & 1)
  const action = fc.tuple(fc.constantFrom('insert', 'insert', 'remove', 'find'), fc.nat({ max: tuples.length - 1 }))
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200, size: 'max' }), actions => {
      const { flows, index } = open(capacity)
      const model = new Map<number, { slot: number; generation: number }>()
      const free = Array.from({ length: capacity }, (_, slot) => slot)
      const agrees = (tuple: number) => {
        const expected = model.get(tuple)
        const slot = index.find(tuples[tuple])
        return expected === undefined
          ? slot === Lookup.missing
          : slot === expected.slot && index.generation === expected.generation
      }
      for (const [kind, tuple] of actions) {
        const known = model.get(tuple)
        if (kind === 'insert' && known === undefined && free.length > 0) {
          const slot = free.shift()!
          model.set(tuple, { slot, generation: publish(flows, slot, tuples[tuple]) })
          index.insert(slot)
        } else if (kind === 'remove' && known !== undefined) {
          index.remove(known.slot)
          flows.retire(known.slot)
          free.push(known.slot)
          model.delete(tuple)
        }
        if (!agrees(tuple)) return false
      }
      return tuples.every((_, tuple) => agrees(tuple))
    }),
    { numRuns: 500 },
  )
})

/** A table that runs something of the test's choice whenever a look-up or a removal turns to the next slot. */
class Interrupted extends FlowTable {
  interrupt: (() => void) | undefined
  override base(slot: number): number {
    const interrupt = this.interrupt
    this.interrupt = undefined
    interrupt?.()
    this.interrupt = interrupt
    return super.base(slot)
  }
}

/** Ten tuples of the crowd, and an index over the same memory whose every step can be interrupted. */
const interruptible = () => {
  const { flows, index } = open(32)
  const tuples = crowd(10, i => i)
  for (const [slot, tuple] of tuples.entries()) {
    publish(flows, slot, tuple)
    index.insert(slot)
  }
  const interrupted = new Interrupted(flows.shared)
  return { flows, index, tuples, interrupted, slow: new TupleIndex(index.shared, interrupted) }
}
/** Calls `then` once, at the given step. */
const atStep = (step: number, then: () => void) => {
  let steps = 0
  return () => {
    if (steps++ === step) then()
  }
}

t.test('another tuple leaves at any step of a look-up', async t => {
  const wrong: string[] = []
  for (let leaving = 0; leaving < 10; leaving++) {
    for (let sought = 0; sought < 10; sought++) {
      if (sought === leaving) continue
      for (let step = 0; step < 12; step++) {
        const { flows, index, tuples, interrupted, slow } = interruptible()
        interrupted.interrupt = atStep(step, () => {
          index.remove(leaving)
          flows.retire(leaving)
        })
        const found = slow.find(tuples[sought])
        if (found !== sought) wrong.push(`${sought} at step ${step} while ${leaving} leaves: ${found}`)
      }
    }
  }
  t.strictSame(wrong, [])
})

t.test('a look-up at any step of a removal', async t => {
  const seen = new Map<number, number>()
  const wrong: string[] = []
  for (let leaving = 0; leaving < 10; leaving++) {
    for (let step = 0; step < 12; step++) {
      for (let sought = 0; sought < 10; sought++) {
        const { index, tuples, interrupted, slow } = interruptible()
        let found = sought
        interrupted.interrupt = atStep(step, () => {
          found = index.find(tuples[sought])
        })
        slow.remove(leaving)
        seen.set(found, (seen.get(found) ?? 0) + 1)
        if (found !== sought && sought !== leaving) wrong.push(`${sought} at step ${step} of ${leaving}: ${found}`)
        if (index.find(tuples[leaving]) !== Lookup.missing) wrong.push(`${leaving} is still there`)
      }
    }
  }
  t.strictSame(wrong, [], 'what stays stands in at least one place all the time')
  t.notOk(seen.has(Lookup.missing), 'not even the leaving one is missing while the index is being changed')
})

t.test('an index that changes at every step: contended, never missing', async t => {
  const { flows, index, tuples, interrupted, slow } = interruptible()
  const absent = crowd(40, i => i)[39]
  let changes = 0
  interrupted.interrupt = () => {
    index.remove(0)
    publish(flows, 0, tuples[0])
    index.insert(0)
    changes++
  }
  t.equal(slow.find(absent), Lookup.contended)
  t.ok(changes >= 8, 'after several attempts')
  interrupted.interrupt = undefined
  t.equal(slow.find(absent), Lookup.missing)
})

t.test('a reader while the writer churns: what stays is always found, nothing is found wrongly', async t => {
  const capacity = 32
  const stable = 10
  const rounds = 200_000
  const { flows, index } = open(capacity)
  const tuples = crowd(40, i => i)
  const generations = rounds + 8
  const held = new Int32Array(new SharedArrayBuffer(capacity * generations * 4)).fill(-1)
  const control = new Int32Array(new SharedArrayBuffer(8))
  const slots = new Map<number, number>()
  const free = Array.from({ length: capacity }, (_, slot) => slot)
  const insert = (tuple: number) => {
    const slot = free.shift()!
    Atomics.store(held, slot * generations + (flows.load(slot, Field.generation) >> 1) + 1, tuple)
    publish(flows, slot, tuples[tuple])
    index.insert(slot)
    slots.set(tuple, slot)
  }
  const remove = (tuple: number) => {
    const slot = slots.get(tuple)!
    index.remove(slot)
    flows.retire(slot)
    free.push(slot)
    slots.delete(tuple)
  }
  // The stable ones stand between others, so that removals move them.
  for (let i = 0; i < 10; i++) {
    insert(stable + i)
    insert(i)
  }
  const answered = runThread<IndexAnswer>(new URL('tuple-index-worker.js', import.meta.url), {
    flows: flows.shared,
    index: index.shared,
    tuples: tuples.map(({ r0 }) => r0),
    stable,
    held,
    generations,
    control,
  } satisfies IndexTask)
  // Waiting without the event loop would keep the thread from starting.
  while (Atomics.load(control, 0) === 0) await new Promise(resolve => setTimeout(resolve, 1))
  const next = randomNumbers(3)
  for (let round = 0; round < rounds; round++) {
    const tuple = stable + (next() % (tuples.length - stable))
    if (slots.has(tuple)) remove(tuple)
    else if (free.length > 0) insert(tuple)
    // A reader deserves a pause now and then.
    if (round % 64 === 0) waitUntil(() => next() % 50 === 0)
  }
  Atomics.store(control, 1, 1)
  const { finds, hits, contended, missed, wrong } = await answered
  t.equal(missed, 0, 'what never leaves is never missing')
  t.equal(wrong, 0, 'a slot that is found held the tuple in that generation')
  t.ok(hits > 0)
  t.comment(`${finds} finds, ${hits} hits, ${contended} contended`)
})
