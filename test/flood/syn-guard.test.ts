import t from 'tap'
import { SynGuard } from '../../src/flood/syn-guard.js'
import { Counter } from '../../src/memory/counters.js'
import { Segment } from '../../src/path/segment.js'

const key = Int32Array.of(0x12345678, -77)
let floods = 0
const open = () => new SynGuard(key, () => floods++)

/** SYN number `n` of a flood of random sources. */
const spoofed = (n: number): Segment =>
  Object.assign(new Segment(), { family: 4, ports: 0x10000 + n, r0: (n * 2654435761) | 0 })

const from = (fields: Partial<Segment>): Segment =>
  Object.assign(new Segment(), { family: 4, ports: 0x9c400050, r0: 7 }, fields)

/** How often it was admitted, and why not. */
const count = (guard: SynGuard, tries: number, now: number, make: (n: number) => Segment) => {
  const found: Record<number, number> = {}
  for (let n = 0; n < tries; n++) {
    const why = guard.refuses(make(n), now)
    found[why] = (found[why] ?? 0) + 1
  }
  return { admitted: found[-1] ?? 0, source: found[Counter.synSourceLimited] ?? 0, flood: found[Counter.synFlood] ?? 0 }
}

t.test('below the rates every SYN is answered', async t => {
  t.same(count(open(), 10_000, 1_000, spoofed), { admitted: 10_000, source: 0, flood: 0 })
  t.same(
    count(open(), 20_000, 1_000, ports => from({ ports })),
    { admitted: 20_000, source: 0, flood: 0 },
  )
})

t.test('one source: a burst of 20,000, then 2,000 a second, whatever its ports', async t => {
  const guard = open()
  const one = (ports: number) => from({ ports })
  t.same(count(guard, 30_000, 1_000, one), { admitted: 20_000, source: 10_000, flood: 0 })
  t.same(count(guard, 5_000, 2_000, one), { admitted: 2_000, source: 3_000, flood: 0 })
  t.same(
    count(guard, 10, 2_000, () => from({ r0: 8 })),
    { admitted: 10, source: 0, flood: 0 },
    'another source',
  )
  t.same(count(guard, 30_000, 60_000, one), { admitted: 20_000, source: 10_000, flood: 0 }, 'after a rest')
})

t.test('IPv6: a /64 is one source', async t => {
  const guard = open()
  const host = (n: number) => from({ family: 6, r0: 1, r1: 2, r2: n, r3: n * 7 })
  t.equal(count(guard, 21_000, 1_000, host).source, 1_000)
  t.equal(count(guard, 1, 1_000, () => from({ family: 6, r0: 1, r1: 3 })).admitted, 1)
})

t.test('a flood of random sources: 30,000 at once, 50,000 a second, and whoever comes again', async t => {
  const guard = open()
  const { admitted, flood, source } = count(guard, 300_000, 1_000, spoofed)
  t.equal(source, 0)
  // By chance some look as if they had come before.
  t.ok(admitted >= 30_000 && admitted < 70_000, `${admitted} of 300,000`)
  t.equal(admitted + flood, 300_000)
  const clients = Array.from({ length: 100 }, (_, n) => from({ r0: 1_000_003 + n, ports: 0x40000000 + n }))
  const tryAll = (now: number) => clients.filter(client => guard.refuses(client, now) < 0).length
  t.ok(tryAll(1_000) < 20, 'a first try meets a full bucket')
  // Their next SYN after a second, in a second as full as the first one.
  count(guard, 300_000, 2_000, n => spoofed(n + 300_000))
  t.equal(tryAll(2_000), 100, 'the second does not')
})

t.test('a SYN is a second one for 2 to 4 s', async t => {
  for (const [later, seen] of [
    [1_999, true],
    [2_001, true],
    [4_100, false],
    [60_000, false],
  ] as const) {
    const guard = open()
    const empty = (now: number) => count(guard, 200_000, now, n => spoofed(n + now * 1_000))
    empty(1_000)
    const client = from({})
    guard.refuses(client, 1_000)
    if (later > 4_000) empty(3_050)
    empty(1_000 + later)
    // By chance one in a hundred would pass nevertheless; this one does not.
    t.equal(guard.refuses(client, 1_000 + later) < 0, seen, `${later} ms`)
  }
})

t.test('a flood that repeats itself: 50,000 a second more', async t => {
  const guard = open()
  count(guard, 150_000, 1_000, spoofed)
  const { admitted } = count(guard, 150_000, 2_000, spoofed)
  t.ok(admitted <= 100_000, `${admitted}`)
})

t.test('a flood is told of once a second', async t => {
  floods = 0
  const guard = open()
  count(guard, 30_000, 1_000, spoofed)
  t.equal(floods, 0, 'all answered')
  count(guard, 100_000, 1_000, n => spoofed(n + 30_000))
  t.equal(floods, 1)
  count(guard, 100_000, 1_500, n => spoofed(n + 130_000))
  t.equal(floods, 1)
  count(guard, 100_000, 2_100, n => spoofed(n + 230_000))
  t.equal(floods, 2)
  floods = 0
  count(open(), 40_000, 5_000, n => from({ ports: n }))
  t.equal(floods, 1, 'from one source too')
})
