import t from 'tap'
import { stackCounters } from '../../src/memory/counter-table.js'
import {
  Counter,
  counterNames,
  counterPageBytes,
  counterPageLength,
  faultCounter,
  readCounters,
  serviceCounterRoom,
} from '../../src/memory/counters.js'
import { Fault, faultNames } from '../../src/wire/fault.js'

const openPages = (count: number): Float64Array[] => {
  const shared = new SharedArrayBuffer(count * counterPageBytes)
  return Array.from({ length: count }, (_, i) => new Float64Array(shared, i * counterPageBytes, counterPageLength))
}

t.test('every name stands for one counter', async t => {
  t.equal(new Set(counterNames).size, counterNames.length, 'no name twice')
  t.equal(counterPageLength, counterNames.length + serviceCounterRoom)
  t.equal(counterPageBytes, counterPageLength * 8)
  t.strictSame(
    Object.values(Counter),
    counterNames.map((_, i) => i),
  )
  for (const [name, at] of Object.entries(Counter)) t.equal(counterNames[at], name)
  for (const name of faultNames) t.equal(counterNames[faultCounter(Fault[name])], name)
})

t.test('every counter has whole sentences', async t => {
  for (const { name, text } of stackCounters) {
    if (!/^[A-Z].*\.$/u.test(text)) t.fail(`${name}: ${text}`)
    if (text.includes('|')) t.fail(`${name} has a bar, which ends a cell of a table`)
  }
})

t.test('reading sums the pages', async t => {
  const pages = openPages(3)
  for (const [i, page] of pages.entries()) for (const at of page.keys()) page[at] = (at + 1) * 10 ** i
  const { traffic, drops } = readCounters(pages)
  for (const [at, { name, kind }] of stackCounters.entries()) {
    const { [name]: value }: Partial<Record<string, number>> = kind === 'traffic' ? traffic : drops
    t.equal(value, (at + 1) * 111, name)
  }
  t.equal(Object.keys(traffic).length + Object.keys(drops).length, counterNames.length)
  t.ok('packetsIn' in traffic && 'unknownTuple' in drops && 'tcpChecksum' in drops)
  t.strictSame(readCounters([pages[0]]).traffic.bytesIn, Counter.bytesIn + 1)
  t.strictSame(new Set(Object.values(readCounters([]).drops)), new Set([0]), 'no pages: zeros')
})

t.test('counts beyond 2^32', async t => {
  const [page] = openPages(1)
  page[Counter.bytesIn] = 2 ** 52
  page[Counter.bytesIn] += 1
  t.equal(readCounters([page]).traffic.bytesIn, 2 ** 52 + 1)
})
