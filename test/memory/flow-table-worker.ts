/** Many calls on slot 0 of a table, from a thread of its own (flow-table.test.ts). */
import { Field, FlowTable } from '../../src/memory/flow-table.js'
import { randomNumbers } from '../support/random.js'
import { answer, meet, threadData } from '../support/threads.js'

export interface FlowTask {
  job: 'bump' | 'advance' | 'takeSeq' | 'takeIpId'
  shared: SharedArrayBuffer
  seed: number
  times: number
  ready: Int32Array
}

const { job, shared, seed, times, ready } = threadData<FlowTask>()
const flows = new FlowTable(shared)
const next = randomNumbers(seed)

const jobs: Record<FlowTask['job'], () => unknown> = {
  /** The sum of what was added. */
  bump: () => {
    let sum = 0
    for (let i = 0; i < times; i++) {
      const by = next()
      flows.bump(0, Field.bytesIn, by)
      sum += by
    }
    return sum
  },
  /** Steps forward and back from what is seen: how often it went wrong, and the last target. */
  advance: () => {
    let faults = 0
    let moved = 0
    let furthest = flows.load(0, Field.nextAck)
    for (let i = 0; i < times; i++) {
      const seen = flows.load(0, Field.nextAck)
      if (((seen - furthest) | 0) < 0) faults++ // went back
      const target = (seen + (next() % 5000) - 2000) | 0
      if (flows.advance(0, Field.nextAck, target)) moved++
      const after = flows.load(0, Field.nextAck)
      if (((after - target) | 0) < 0 || ((after - seen) | 0) < 0) faults++
      furthest = after
    }
    return { faults, moved, furthest }
  },
  /** Ranges that were kept: pairs (seq, length). Every third one is given back. */
  takeSeq: () => {
    const ranges: number[] = []
    for (let i = 0; i < times; i++) {
      const length = 1 + (next() % 3000)
      const seq = flows.takeSeq(0, length)
      if (i % 3 === 0) flows.returnSeq(0, seq, length)
      else ranges.push(seq, length)
    }
    return ranges
  },
  takeIpId: () => Array.from({ length: times }, () => flows.takeIpId(0, 3)),
}

meet(ready)
answer(jobs[job]())
