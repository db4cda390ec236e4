/** Looks tuples up as fast as it can while the test changes the index (tuple-index.test.ts). */
import { FlowTable } from '../../src/memory/flow-table.js'
import { Lookup, TupleIndex } from '../../src/memory/tuple-index.js'
import { randomNumbers } from '../support/random.js'
import { answer, threadData } from '../support/threads.js'

export interface IndexTask {
  flows: SharedArrayBuffer
  index: SharedArrayBuffer
  /** Remote address words of the tuples; the first `stable` of them never leave. */
  tuples: number[]
  stable: number
  /** Which tuple a slot holds in a generation: at `slot * generations + generation / 2`. */
  held: Int32Array
  generations: number
  /** Word 0: the reader has begun; word 1: it shall end. */
  control: Int32Array
}
export interface IndexAnswer {
  finds: number
  hits: number
  contended: number
  /** Stable tuples that were not found. */
  missed: number
  /** Slots that never held the tuple. */
  wrong: number
}

const task = threadData<IndexTask>()
const index = new TupleIndex(task.index, new FlowTable(task.flows))
const next = randomNumbers(7)
const result: IndexAnswer = { finds: 0, hits: 0, contended: 0, missed: 0, wrong: 0 }

const { tuples, stable, held, generations, control } = task
while (Atomics.load(control, 1) === 0) {
  for (let i = 0; i < 1000; i++) {
    // Every other look-up is for a tuple that is always there.
    const tuple = next() % ((i & 1) === 0 ? stable : tuples.length)
    const slot = index.find({ family: 4, ports: tuple, r0: tuples[tuple], r1: 0, r2: 0, r3: 0 })
    result.finds++
    if (slot === Lookup.contended) result.contended++
    else if (slot === Lookup.missing) result.missed += tuple < stable ? 1 : 0
    else {
      result.hits++
      if (Atomics.load(held, slot * generations + index.generation / 2) !== tuple) result.wrong++
    }
  }
  Atomics.store(control, 0, 1)
}
answer(result)
