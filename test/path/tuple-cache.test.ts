import fc from 'fast-check'
import t from 'tap'
import { FlowTable } from '../../src/memory/flow-table.js'
import { Segment } from '../../src/path/segment.js'
import { TupleCache } from '../../src/path/tuple-cache.js'

const segment = (ports: number, r0 = 1, r1 = 0, r2 = 0, r3 = 0, family = 4): Segment =>
  Object.assign(new Segment(), { ports, r0, r1, r2, r3, family })

const open = (entries: number, capacity = 64) => {
  const flows = FlowTable.allocate(capacity)
  for (let slot = 0; slot < capacity; slot++) flows.retire(slot)
  return { flows, cache: new TupleCache(flows, entries) }
}

t.test('finds what it learned, and nothing else', async t => {
  const { flows, cache } = open(1)
  t.equal(cache.find(segment(0, 0)), -1, 'an empty entry is nobody, not even the tuple of zeros')
  const generation = flows.publish(0)
  const tuple = [-5, 1, 2, 3, 4, 6] as const
  cache.learn(segment(...tuple), { slot: 0, generation })
  t.equal(cache.find(segment(...tuple)), 0, 'slot 0 too')
  t.equal(cache.found.generation, generation)
  for (let i = 0; i < tuple.length; i++) {
    const other = tuple.map((word, at) => (at === i ? word ^ 1 : word)) as unknown as typeof tuple
    t.equal(cache.find(segment(...other)), -1, 'every word counts')
  }
})

t.test('a stale generation is a miss', async t => {
  const { flows, cache } = open(16)
  const s = segment(77)
  const first = flows.publish(3)
  cache.learn(s, { slot: 3, generation: first })
  t.equal(cache.find(s), 3)
  flows.retire(3)
  t.equal(cache.find(s), -1, 'the connection ended')
  const second = flows.publish(3)
  t.equal(cache.find(s), -1, 'another one has its slot')
  cache.learn(s, { slot: 3, generation: second })
  t.equal(cache.find(s), 3)
  t.equal(cache.found.generation, second)
})

t.test('a collision replaces the entry', async t => {
  const { flows, cache } = open(1)
  const [a, b] = [flows.publish(1), flows.publish(2)]
  cache.learn(segment(10), { slot: 1, generation: a })
  cache.learn(segment(11), { slot: 2, generation: b })
  t.equal(cache.find(segment(10)), -1)
  t.equal(cache.find(segment(11)), 2)
  t.equal(cache.found.generation, b)
})

t.test('random: a hit is always right', async () => {
  const action = fc.tuple(fc.constantFrom('learn', 'end', 'find', 'find'), fc.nat({ max: 30 }))
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200, size: 'max' }), actions => {
      const { flows, cache } = open(8)
      const live = new Map<number, { slot: number; generation: number }>()
      const free = Array.from({ length: 64 }, (_, slot) => slot)
      for (const [kind, tuple] of actions) {
        const flow = live.get(tuple)
        if (kind === 'end' && flow !== undefined) {
          flows.retire(flow.slot)
          free.unshift(flow.slot)
          live.delete(tuple)
        } else if (kind === 'learn') {
          const slot = flow?.slot ?? free.shift()!
          const generation = flow?.generation ?? flows.publish(slot)
          live.set(tuple, { slot, generation })
          cache.learn(segment(tuple), { slot, generation })
          if (cache.find(segment(tuple)) !== slot) return false
        }
        const expected = live.get(tuple)
        const found = cache.find(segment(tuple))
        if (found >= 0 && (found !== expected?.slot || cache.found.generation !== expected.generation)) return false
      }
      return true
    }),
    { numRuns: 500 },
  )
})
