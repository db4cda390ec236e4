import t from 'tap'
import { ErrorCode } from '../../src/errors.js'
import { type CounterRow, counterTable } from '../../src/memory/counter-table.js'
import { counterNames, counterPageLength, readCounters, serviceCounterRoom } from '../../src/memory/counters.js'
import { ServiceCounters } from '../../src/memory/service-counters.js'

const served = counterTable('traffic', { requests: ['datagram', 'Answered.'], answers: ['datagram', 'Sent.'] })
const refused = counterTable('drop', { requestsRefused: ['datagram', 'Dropped: nobody knows what they ask.'] })
const many = (count: number, from = 0): CounterRow[] =>
  Array.from({ length: count }, (_, i) => ({ name: `n${from + i}`, kind: 'drop', unit: 'packet', text: 'One.' }))

t.test('a word each, behind those of the stack', async t => {
  const counters = new ServiceCounters()
  const first = counterNames.length
  t.same(
    [...counters.declare([...served, ...refused])],
    [
      ['requests', first],
      ['answers', first + 1],
      ['requestsRefused', first + 2],
    ],
  )
  t.equal(counters.declare([]).size, 0)
  t.same(
    [...counters.declare([...many(1), ...served.slice(1)])],
    [
      ['n0', first + 3],
      ['answers', first + 1],
    ],
    'a counter that is there already keeps its word',
  )
  const pages = [new Float64Array(counterPageLength), new Float64Array(counterPageLength)]
  const before = readCounters(pages)
  for (let i = 0; i < 4; i++) for (const page of pages) page[first + i] = i + 1
  t.same(counters.read(pages), { traffic: { requests: 2, answers: 4 }, drops: { requestsRefused: 6, n0: 8 } })
  t.same(counters.read([]), { traffic: { requests: 0, answers: 0 }, drops: { requestsRefused: 0, n0: 0 } })
  t.same(readCounters(pages), before, 'the stack’s own are others')
})

t.test('what cannot be declared', async t => {
  const counters = new ServiceCounters()
  counters.declare(served)
  const invalid = (rows: readonly unknown[], message: RegExp) =>
    t.throws(() => counters.declare(rows as CounterRow[]), { code: ErrorCode.INVALID_ARGUMENT, message })
  const [row] = refused
  invalid([row, row], /declares its counter requestsRefused twice/u)
  invalid([{ ...row, name: 'packetsIn' }], /stack itself counts packetsIn/u)
  invalid([{ ...row, name: 'tcpChecksum' }], /stack itself counts tcpChecksum/u)
  invalid([{ ...row, name: 'two words' }], /letters and digits, like requestsRefused, not "two words"/u)
  invalid([{ ...row, name: '__proto__' }], /letters and digits/u)
  invalid([{ ...row, name: 5 }], /letters and digits/u)
  invalid([{ ...row, kind: 'other' }], /'traffic' or 'drop'; that of requestsRefused is "other"/u)
  invalid([{ ...row, name: 'answers' }], /Another service of this stack has a counter answers of the kind 'traffic'/u)
  t.same(counters.read([]), { traffic: { requests: 0, answers: 0 }, drops: {} }, 'nothing was declared')
})

t.test('all services together have 64', async t => {
  const counters = new ServiceCounters()
  t.equal(serviceCounterRoom, 64)
  counters.declare(many(60))
  t.throws(() => counters.declare(many(5, 60)), {
    code: ErrorCode.INVALID_ARGUMENT,
    message: /64 counters together: with the 5 new ones of this service they would have 65/u,
  })
  const words = counters.declare(many(8, 56))
  t.equal(words.get('n63'), counterPageLength - 1, 'the last word of a page')
})
