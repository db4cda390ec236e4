import fc from 'fast-check'
import t from 'tap'
import { Field, FlowTable, State } from '../../src/memory/flow-table.js'
import { distance } from '../../src/wire/serial.js'
import { runThread } from '../support/threads.js'
import type { FlowTask } from './flow-table-worker.js'

/** Runs a job in several threads at once on the table's slot 0. */
const inThreads = <T>(flows: FlowTable, job: FlowTask['job'], threads: number, times: number): Promise<T[]> => {
  const ready = new Int32Array(new SharedArrayBuffer(4)).fill(threads)
  const file = new URL('flow-table-worker.js', import.meta.url)
  const tasks = Array.from({ length: threads }, (_, i) => ({ job, shared: flows.shared, seed: i + 1, times, ready }))
  return Promise.all(tasks.map(task => runThread<T>(file, task satisfies FlowTask)))
}

const u32 = fc.nat({ max: 0xffffffff })

t.test('slots do not touch each other, fields do not overlap', async t => {
  const flows = FlowTable.allocate(3)
  t.equal(flows.capacity, 3)
  t.equal(new FlowTable(flows.shared).capacity, 3)
  flows.words.fill(7, flows.base(1), flows.base(2))
  flows.retire(1)
  flows.clear(1)
  t.ok(flows.words.subarray(0, flows.base(1)).every(word => word === 0))
  t.ok(flows.words.subarray(flows.base(1) + 1, flows.base(2)).every(word => word === 0))
  t.equal(flows.load(1, Field.generation), 7, 'all but the generation')

  const wide: Record<string, number> = { remote: 4, local: 4, datagramsIn: 2, bytesIn: 2, datagramsOut: 2, bytesOut: 2 }
  const words = Object.entries(Field).flatMap(([name, at]) => Array.from({ length: wide[name] ?? 1 }, (_, i) => at + i))
  t.equal(new Set(words).size, words.length)
  t.ok(Math.max(...words) < flows.base(1))
  const line = (field: number) => field >>> 4
  t.ok(
    line(Field.generation) < line(Field.nextAck) && line(Field.overflow) < line(Field.nextSeq),
    'cache lines by writer',
  )
})

t.test('generation: even while a slot holds a connection, odd while it does not, never twice the same', async t => {
  const flows = FlowTable.allocate(2)
  const seen = new Set<number>()
  const wrong: string[] = []
  const check = (holds: boolean, what: string) => holds || wrong.push(what)
  const odd = () => (flows.load(0, Field.generation) & 1) === 1
  let last = -1
  for (let i = 0; i < 1000; i++) {
    flows.retire(0)
    check(odd() && !flows.alive({ slot: 0, generation: last }), `retired ${last}`)
    flows.retire(0)
    flows.clear(0)
    check(odd() && !flows.alive({ slot: 0, generation: last }), `cleared ${last}`)
    last = flows.publish(0)
    check(
      !odd() && flows.alive({ slot: 0, generation: last }) && flows.load(0, Field.generation) === last,
      `published ${last}`,
    )
    seen.add(last)
  }
  t.strictSame(wrong, [])
  t.equal(seen.size, 1000)
  t.notOk(seen.has(0), 'nobody holds the generation of a slot that never held a connection')
  t.notOk(flows.alive({ slot: 1, generation: last }), 'another slot')
})

t.test('generation wraps', async t => {
  const flows = FlowTable.allocate(1)
  for (const [before, after] of [
    [2 ** 31 - 2, -(2 ** 31)],
    [-2, 0],
  ]) {
    flows.store(0, Field.generation, before)
    t.ok(flows.alive({ slot: 0, generation: before }))
    flows.retire(0)
    t.equal(flows.publish(0), after)
    t.ok(flows.alive({ slot: 0, generation: after }))
    t.notOk(flows.alive({ slot: 0, generation: before }))
  }
})

t.test('advance: forward by serial arithmetic, never back', async t => {
  const flows = FlowTable.allocate(2)
  fc.assert(
    fc.property(u32, u32, (from, to) => {
      flows.store(1, Field.peerAck, from)
      const forward = distance(from, to) > 0
      return (
        flows.advance(1, Field.peerAck, to) === forward &&
        flows.load(1, Field.peerAck) >>> 0 === (forward ? to : from) &&
        !flows.advance(1, Field.peerAck, to)
      )
    }),
  )
  flows.store(1, Field.peerAck, 0xffffffff)
  t.ok(flows.advance(1, Field.peerAck, 0), 'across 2^32')
  t.notOk(flows.advance(1, Field.peerAck, 0xffffffff))
  t.notOk(flows.advance(1, Field.peerAck, 2 ** 31), 'half the space has no order')
  t.ok(flows.advance(1, Field.peerAck, 2 ** 31 - 1), 'unsigned and signed words')
  t.ok(flows.advance(1, Field.peerAck, -(2 ** 31)))
  t.ok(
    flows.words.every((word, at) => word === 0 || at === flows.base(1) + Field.peerAck),
    'only that field',
  )
})

t.test('advance, with another thread between its look and its step', async t => {
  const flows = FlowTable.allocate(1)
  const { load } = Atomics
  t.teardown(() => Object.assign(Atomics, { load }))
  for (const [own, other, end] of [
    [10, 20, 20],
    [20, 10, 20],
    [20, 20, 20],
    [-5, 7, 7],
  ]) {
    flows.store(0, Field.nextAck, -9)
    let interrupted = false
    const interrupting = (words: Int32Array, at: number) => {
      const seen = load(words, at)
      if (!interrupted) {
        interrupted = true
        t.ok(flows.advance(0, Field.nextAck, other))
      }
      return seen
    }
    Object.assign(Atomics, { load: interrupting })
    t.equal(flows.advance(0, Field.nextAck, own), own > other, `${own} while ${other} comes between`)
    Object.assign(Atomics, { load })
    t.equal(flows.load(0, Field.nextAck), end)
  }
})

t.test('advance from two threads', async t => {
  const flows = FlowTable.allocate(1)
  flows.store(0, Field.nextAck, 0xfffff000)
  const results = await inThreads<{ faults: number; moved: number; furthest: number }>(flows, 'advance', 2, 200_000)
  const end = flows.load(0, Field.nextAck)
  for (const { faults, moved, furthest } of results) {
    t.equal(faults, 0, 'never back, never short of the target')
    t.ok(moved > 0)
    t.ok(distance(furthest, end) >= 0)
  }
})

t.test('64-bit counters', async t => {
  const flows = FlowTable.allocate(2)
  fc.assert(
    fc.property(fc.array(u32, { maxLength: 20 }), steps => {
      flows.clear(0)
      for (const by of steps) flows.bump(0, Field.bytesOut, by)
      return (
        flows.count(0, Field.bytesOut) === steps.reduce((sum, by) => sum + by, 0) &&
        flows.count(0, Field.datagramsOut) === 0
      )
    }),
  )
  flows.store(0, Field.bytesOut, -1)
  flows.store(0, Field.bytesOut + 1, 0)
  flows.bump(0, Field.bytesOut, 0)
  t.equal(flows.count(0, Field.bytesOut), 0xffffffff, 'nothing to carry')
  flows.bump(0, Field.bytesOut, 1)
  t.equal(flows.count(0, Field.bytesOut), 2 ** 32)
})

t.test('64-bit counters carry exactly from several threads', async t => {
  const flows = FlowTable.allocate(1)
  const sums = await inThreads<number>(flows, 'bump', 3, 30_000)
  t.equal(
    flows.count(0, Field.bytesIn),
    sums.reduce((sum, by) => sum + by, 0),
  )
})

t.test('sequence space: taken once, given back when nobody took more', async t => {
  const flows = FlowTable.allocate(1)
  flows.store(0, Field.nextSeq, 0xffffff00)
  t.equal(flows.takeSeq(0, 0x200), 0xffffff00, 'unsigned')
  t.equal(flows.takeSeq(0, 1), 0x100, 'across 2^32')
  t.equal(flows.load(0, Field.nextSeq), 0x101)
  flows.returnSeq(0, 0xffffff00, 0x200)
  t.equal(flows.load(0, Field.nextSeq), 0x101, 'somebody took more: a gap')
  flows.returnSeq(0, 0x100, 1)
  t.equal(flows.load(0, Field.nextSeq), 0x100)
  flows.returnSeq(0, 0xffffff00, 0x200)
  t.equal(flows.load(0, Field.nextSeq) >>> 0, 0xffffff00, 'back across 2^32')
})

t.test('sequence space: kept ranges of several threads never overlap', async t => {
  const flows = FlowTable.allocate(1)
  const start = 0xffff0000
  flows.store(0, Field.nextSeq, start)
  const answers = await inThreads<number[]>(flows, 'takeSeq', 3, 20_000)
  const ranges = answers.flatMap(pairs =>
    Array.from({ length: pairs.length / 2 }, (_, i) => ({
      from: (pairs[2 * i] - start) >>> 0,
      length: pairs[2 * i + 1],
    })),
  )
  ranges.sort((a, b) => a.from - b.from)
  t.equal(ranges.length, answers.length * Math.floor((20_000 * 2) / 3))
  t.notOk(ranges.some(({ from }, i) => i > 0 && from < ranges[i - 1].from + ranges[i - 1].length))
  const { from, length } = ranges[ranges.length - 1]
  t.ok((flows.load(0, Field.nextSeq) - start) >>> 0 >= from + length, 'and lie before the next one')
})

t.test('IP identifications of several threads', async t => {
  const flows = FlowTable.allocate(1)
  flows.store(0, Field.ipId, 0xfff0)
  const ids = (await inThreads<number[]>(flows, 'takeIpId', 2, 5000)).flat()
  const expected = Array.from({ length: 10_000 }, (_, i) => (0xfff0 + i * 3) & 0xffff)
  t.strictSame(new Set(ids), new Set(expected), '16 bits, none twice, across 2^16')
})

t.test('states are distinct', async t => {
  t.equal(new Set(Object.values(State)).size, Object.keys(State).length)
  t.equal(State.free, 0, 'a cleared slot is free')
})
