import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { LogEvent } from '../../src/log/events.js'
import { Repeats } from '../../src/log/repeats.js'

/** An event of this name; its text is the name, unless the fields have one. */
const eventOf = (name: string, fields: Record<string, unknown>, level: LogEvent['level'] = 'info'): LogEvent => {
  const { text = name, ...others } = fields
  return { level, text: String(text), fields: { event: `test:${name}`, ...others } }
}

/** A clock that the test moves, and what has passed. */
const open = () => {
  const passed: LogEvent[] = []
  const clock = { now: 1_000_000 }
  const repeats = new Repeats(
    event => passed.push(event),
    () => clock.now,
  )
  const add = (name: string, fields: Record<string, unknown> = {}, level: LogEvent['level'] = 'info') =>
    repeats.add(eventOf(name, fields, level))
  return { passed, clock, repeats, add, happened: () => passed.splice(0) }
}

t.test('a few events pass as they are', async t => {
  const { add, happened, repeats } = open()
  for (let i = 0; i < 20; i++) add('connection accepted', { i })
  repeats.flush()
  t.same(
    happened(),
    Array.from({ length: 20 }, (_, i) => eventOf('connection accepted', { i })),
  )
})

t.test('more of them become one with the last fields and the count', async t => {
  const { add, happened, repeats } = open()
  for (let i = 0; i < 100_000; i++) add('connection accepted', { i })
  t.equal(happened().length, 20)
  repeats.flush()
  t.same(happened(), [eventOf('connection accepted', { i: 99_999, count: 99_980 })])
  repeats.flush()
  t.same(happened(), [], 'said once')
})

t.test('one that waits alone has no count', async t => {
  const { add, happened, repeats } = open()
  for (let i = 0; i < 21; i++) add('x', { i })
  repeats.flush()
  t.same(happened().at(-1), eventOf('x', { i: 20 }))
})

t.test('after some time they pass again', async t => {
  const { add, clock, happened, repeats } = open()
  for (let i = 0; i < 30; i++) add('x')
  repeats.flush()
  happened()
  clock.now += 1_500
  for (let i = 0; i < 5; i++) add('x')
  t.equal(happened().length, 3, 'two a second')
  repeats.flush()
  t.match(happened(), [{ fields: { count: 2 } }])
  clock.now += 60_000
  for (let i = 0; i < 100; i++) add('x')
  t.equal(happened().length, 20, 'the burst')
})

t.test('while some wait, the next ones wait with them', async t => {
  const { add, clock, happened, repeats } = open()
  for (let i = 0; i < 21; i++) add('x', { i })
  happened()
  clock.now += 2_000
  add('x', { i: 21 })
  t.same(happened(), [], 'nothing overtakes the count')
  repeats.flush()
  t.match(happened(), [{ fields: { i: 21, count: 2 } }])
})

t.test('kinds are told apart by text and level', async t => {
  const { add, happened } = open()
  for (let i = 0; i < 100; i++) {
    add('a')
    add('b')
    add('b', {}, 'warn')
  }
  t.equal(happened().length, 20 + 20 + 3)
  for (let i = 0; i < 30; i++) add('c', { text: `of ${i % 2}` })
  t.equal(happened().length, 30, 'two faults of one name')
})

t.test('events that stand for many are added up', async t => {
  const { add, happened, repeats } = open()
  for (let i = 0; i < 20; i++) add('x')
  add('x', { count: 500 })
  add('x', { count: 7 })
  add('x')
  happened()
  repeats.flush()
  t.match(happened(), [{ fields: { count: 508 } }])
})

t.test('many different texts', async t => {
  const { add, clock, happened, repeats } = open()
  for (let i = 0; i < 10_000; i++) add(`number ${i}`)
  t.equal(happened().length, 120, 'one hundred kinds, and a burst of what else there is')
  repeats.flush()
  t.same(happened(), [
    {
      level: 'info',
      text: 'many different events',
      fields: { event: 'events-folded', count: 9_880, last: 'number 9999' },
    },
  ])
  clock.now += 20_000
  for (let i = 0; i < 50; i++) add(`number ${i}`)
  t.equal(happened().length, 50, 'silent kinds were forgotten')
})

t.test('the count follows by itself', async t => {
  const passed: LogEvent[] = []
  const repeats = new Repeats(event => passed.push(event))
  for (let i = 0; i < 50; i++) repeats.add(eventOf('x', {}))
  passed.length = 0
  for (let i = 0; i < 100 && passed.length === 0; i++) await sleep(100)
  t.same(passed, [eventOf('x', { count: 30 })])
})

t.test('what goes on is counted for longer each time, up to a minute; another kind does not wait for it', async t => {
  const passed: string[] = []
  const clock = { now: 1_000_000 }
  const due: { at: number; act: () => void }[] = []
  const repeats = new Repeats(
    ({ text, fields }) => passed.push(`${clock.now / 1_000 - 1_000} ${text} ${fields.count ?? ''}`.trim()),
    () => clock.now,
    (act, ms) => {
      const timer = { at: clock.now + ms, act }
      due.push(timer)
      return () => due.splice(due.indexOf(timer), 1)
    },
  )
  const add = (text: string) => repeats.add(eventOf(text, {}, 'warn'))
  for (let second = 0; second < 130; second++) {
    // More in each second than could pass one by one.
    for (let i = 0; i < 10; i++) add('full')
    if (second === 50) for (let i = 0; i < 5; i++) add('late')
    for (let ms = 0; ms < 1_000; ms += 100) {
      clock.now += 100
      for (const timer of [...due]) if (timer.at <= clock.now) timer.act()
    }
  }
  const counts = passed.filter(line => / full \d/u.test(line)).map(line => Math.floor(Number(line.split(' ')[0])))
  t.same(counts, [3, 10, 23, 48, 97], 'after 3, 6, 12, 24 and 48 s, each from the next event on')
  const late = passed.filter(line => line.includes('late'))
  t.equal(late.length, 4, 'three at once and a count')
  t.match(late[3], /^53(\.\d+)? late 2$/)
  t.ok(passed.length < 25, `${passed.length} lines of 1,300 events`)
})
