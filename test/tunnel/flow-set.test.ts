import t from 'tap'
import { Activity } from '../../src/tunnel/activity.js'
import { FlowSet, type LimitedFlow } from '../../src/tunnel/flow-set.js'
import { FakeContext } from '../support/service.js'

class Flow implements LimitedFlow {
  readonly name: string
  readonly activity: Activity
  ticks = 0
  readonly #worker: Worker

  constructor(worker: Worker, name: string) {
    this.name = name
    this.activity = new Activity(worker.context.now())
    this.#worker = worker
  }

  isIdle(now: number): boolean {
    return now - this.activity.lastAt >= 60_000
  }

  tick(): void {
    this.ticks++
  }

  end(why: string): void {
    this.#worker.ended.push(`${this.name} ${why}`)
    this.#worker.flows.delete(this)
  }
}

/** The workers of a tunnel, all by one clock. */
class Worker {
  readonly context = new FakeContext()
  readonly ended: string[] = []
  readonly flows: FlowSet<Flow>

  constructor(queue: number, maxFlows: number, flowCounts: SharedArrayBuffer) {
    this.context.queue = queue
    this.flows = new FlowSet(this.context, { maxFlows, flowCounts })
  }

  /** A new flow, if it is admitted. */
  begin(name: string): Flow | undefined {
    if (!this.flows.admits()) return undefined
    const flow = new Flow(this, name)
    this.flows.add(flow)
    return flow
  }
}

const workers = (count: number, maxFlows: number) => {
  const shared = FlowSet.share(count)
  const all = Array.from({ length: count }, (_, queue) => new Worker(queue, maxFlows, shared))
  return {
    all,
    shared,
    pass: (ms: number) => {
      for (const { context } of all) context.clock += ms
    },
  }
}

t.test('the idlest flow makes room', async t => {
  const { all, pass } = workers(1, 3)
  const [worker] = all
  const [a, b] = [worker.begin('a'), worker.begin('b')]
  pass(1_000)
  worker.begin('c')
  t.equal(worker.begin('d'), undefined, 'nobody has been silent for long')
  t.match(worker.context.counts, { flowRefused: 1 })
  pass(4_000)
  a?.activity.out(worker.context.clock, false)
  t.ok(worker.begin('d'), 'b has')
  t.same(worker.ended, ['b evicted'])
  t.match(worker.context.counts, { flowRefused: 1, flowEvicted: 1 })
  t.equal(worker.flows.size, 3)
  t.ok(b)
  t.same(worker.context.news(), [
    'warn: All 3 flows of `maxFlows` are in use, and none was silent for 5 s: a new one was refused.',
  ])
})

t.test('a full set evicts several at once, and searches seldom', async t => {
  const { all, pass } = workers(1, 1_000)
  const [worker] = all
  const flows = Array.from({ length: 1_000 }, (_, i) => worker.begin(String(i))!)
  let looked = 0
  for (const flow of flows) {
    Object.defineProperty(flow.activity, 'lastAt', {
      get: () => {
        looked++
        return Math.max(flow.activity.outAt, flow.activity.inAt)
      },
    })
  }
  for (let i = 0; i < 500; i++) t.equal(worker.begin('refused'), undefined)
  t.equal(looked, 1_000, 'one search for 500 new flows that find no room')
  pass(5_000)
  looked = 0
  for (let i = 0; i < 62; i++) if (!worker.begin('new')) t.fail()
  t.ok(looked > 0 && looked < 3_500, `searched once for 62 new flows: looked at ${looked}, sorting included`)
  t.equal(worker.ended.length, 62)
  t.match(worker.context.counts, { flowEvicted: 62, flowRefused: 500 })
})

t.test('one limit for all workers', async t => {
  const { all, pass } = workers(2, 4)
  const [first, second] = all
  for (const name of ['a', 'b', 'c', 'd']) first.begin(name)
  t.equal(second.begin('e'), undefined)
  pass(6_000)
  t.equal(second.begin('e'), undefined, 'the first worker has not looked yet')
  for (const { flows } of all) flows.sweep()
  t.ok(second.begin('e'), 'it has idle flows and will make room')
  t.same(first.ended, [])
  first.flows.sweep()
  t.same(first.ended, ['a evicted'])
  t.equal(first.flows.size + second.flows.size, 4)
})

t.test('the other workers are asked for so many at once', async t => {
  const { all, pass } = workers(2, 100)
  const [first, second] = all
  for (let i = 0; i < 100; i++) first.begin(String(i))
  pass(6_000)
  first.flows.sweep()
  let admitted = 0
  for (let i = 0; i < 100; i++) if (second.begin(`new ${i}`)) admitted++
  t.equal(admitted, 32)
  first.flows.sweep()
  t.equal(first.flows.size, 68)
})

t.test('a worker that died has left its share', async t => {
  const { all, shared } = workers(2, 2)
  const [first, second] = all
  first.begin('a')
  first.begin('b')
  t.equal(second.begin('c'), undefined)
  const successor = new Worker(0, 2, shared)
  t.ok(successor.begin('d'))
  t.ok(second.begin('c'))
  t.equal(second.begin('e'), undefined)
})

t.test('sweeps', async t => {
  const { all, pass } = workers(1, 10)
  const [worker] = all
  const idle = worker.begin('idle')
  pass(30_000)
  const busy = worker.begin('busy')
  pass(30_000)
  worker.flows.sweep()
  t.same(worker.ended, ['idle idle'])
  t.same([idle?.ticks, busy?.ticks], [0, 1])
  t.same(
    [...worker.flows].map(({ name }) => name),
    ['busy'],
  )
})
