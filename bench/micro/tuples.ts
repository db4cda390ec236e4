/**
 * From a segment's addresses to its connection, by number of flows: first the worker's own cache, then the index in
 * shared memory.
 */
import { bench, do_not_optimize, group } from 'mitata'
import { Field, FlowRef, FlowTable, State } from '../../src/memory/flow-table.js'
import { TupleIndex } from '../../src/memory/tuple-index.js'
import { Segment } from '../../src/path/segment.js'
import { TupleCache } from '../../src/path/tuple-cache.js'

const SEED = 0x5eed
/** As many entries as the cache of a queue worker has. */
const CACHE_ENTRIES = 16_384
const FAMILY = 4
const REMOTE = 0x0a470001
const LOCAL_PORT = 4567

const portsOf = (flow: number): number => ((20_000 + (flow % 40_000)) << 16) | LOCAL_PORT

const table = (flows: number): { flowTable: FlowTable; index: TupleIndex; segments: Segment[] } => {
  const flowTable = FlowTable.allocate(Math.max(64, flows))
  const index = TupleIndex.allocate(flowTable, SEED)
  const segments = Array.from({ length: flows }, (_, slot) => {
    const segment = new Segment()
    segment.family = FAMILY
    segment.ports = portsOf(slot)
    segment.r0 = REMOTE + Math.floor(slot / 40_000)
    flowTable.retire(slot)
    flowTable.clear(slot)
    flowTable.store(slot, Field.family, FAMILY)
    flowTable.store(slot, Field.ports, segment.ports)
    flowTable.store(slot, Field.remote, segment.r0)
    flowTable.store(slot, Field.state, State.established)
    flowTable.publish(slot)
    index.insert(slot)
    return segment
  })
  return { flowTable, index, segments }
}

for (const flows of [1, 1_000, 10_000, 32_768]) {
  group(`flows in turn: ${flows.toLocaleString('en-US')}`, () => {
    const { flowTable, index, segments } = table(flows)
    const cache = new TupleCache(flowTable, CACHE_ENTRIES)
    const find = (s: Segment): number => index.find(s)
    const found = new FlowRef()
    let next = 0
    const segment = (): Segment => segments[next++ % segments.length]
    if (segments.some(s => find(s) < 0)) throw new Error('a tuple is not found')
    bench('index', () => do_not_optimize(find(segment())))
    bench('cache, else index and learn', () => {
      const s = segment()
      let slot = cache.find(s)
      if (slot < 0) {
        slot = find(s)
        found.slot = slot
        found.generation = index.generation
        cache.learn(s, found)
      }
      do_not_optimize(slot)
    })
    const stranger = new Segment()
    Object.assign(stranger, { family: FAMILY, ports: portsOf(7), r0: 1 })
    bench('a stranger', () => do_not_optimize(find(stranger)))
  })
}
