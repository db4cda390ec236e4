import t from 'tap'
import {
  Counter,
  counterNames,
  counterPageBytes,
  type DropCounter,
  faultCounter,
  readCounters,
  type TrafficCounter,
} from '../../src/memory/counters.js'
import { Fault, faultNames } from '../../src/wire/fault.js'

t.test('every name stands for one counter', async t => {
  t.equal(new Set(counterNames).size, counterNames.length, 'no name twice')
  t.equal(counterPageBytes, counterNames.length * 8)
  for (const [name, at] of Object.entries(Counter)) t.equal(counterNames[at], name)
  for (const name of faultNames) t.equal(counterNames[faultCounter(Fault[name])], name)
  const indices = [...Object.values(Counter), ...faultNames.map(name => faultCounter(Fault[name]))]
  t.strictSame(
    indices.sort((a, b) => a - b),
    counterNames.map((_, i) => i),
    'faults and counters share no place and leave none out',
  )
})

t.test('reading sums the pages', async t => {
  const shared = new SharedArrayBuffer(3 * counterPageBytes)
  const pages = [0, 1, 2].map(i => new Float64Array(shared, i * counterPageBytes, counterNames.length))
  for (const [i, page] of pages.entries()) for (const at of counterNames.keys()) page[at] = (at + 1) * 10 ** i
  const { traffic, drops } = readCounters(pages)
  for (const [at, name] of counterNames.entries()) {
    const value = traffic[name as TrafficCounter] ?? drops[name as DropCounter]
    t.equal(value, (at + 1) * 111, name)
  }
  t.equal(Object.keys(traffic).length + Object.keys(drops).length, counterNames.length)
  t.ok('packetsIn' in traffic && 'unknownTuple' in drops && 'tcpChecksum' in drops)
  t.strictSame(readCounters([pages[0]]).traffic.bytesIn, Counter.bytesIn + 1)
  t.strictSame(new Set(Object.values(readCounters([]).drops)), new Set([0]), 'no pages: zeros')
})

t.test('counts beyond 2^32', async t => {
  const page = new Float64Array(new SharedArrayBuffer(counterPageBytes))
  page[Counter.bytesIn] = 2 ** 52
  page[Counter.bytesIn] += 1
  t.equal(readCounters([page]).traffic.bytesIn, 2 ** 52 + 1)
})
