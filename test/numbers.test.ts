import t from 'tap'
import { resolveNumbers, whole } from '../src/numbers.js'

const invalid = (message: string) => ({ code: 'ERR_FAKE_TCP_INVALID_ARGUMENT', message })

t.test('a whole number within bounds', async t => {
  t.equal(whole('x', 5, { min: 5, max: 5 }), 5)
  t.throws(() => whole('x', 4, { min: 5, max: 6 }), invalid('x must be a whole number from 5 to 6, not 4.'))
  for (const value of [5.5, Number.NaN, Number.POSITIVE_INFINITY, '5' as unknown as number]) {
    t.throws(() => whole('x', value, { min: 5, max: 6 }), { code: 'ERR_FAKE_TCP_INVALID_ARGUMENT' }, String(value))
  }
  const off = { min: 5, max: 6, orZero: true }
  t.equal(whole('x', 0, off), 0)
  t.throws(() => whole('x', 4, off), invalid('x must be 0 or a whole number from 5 to 6, not 4.'))
})

t.test('a table of them', async t => {
  const table = { a: { default: 3, min: 1, max: 5 }, b: { min: 0, max: 9 } } as const
  t.same(resolveNumbers(table, {}), { a: 3, b: undefined })
  t.same(resolveNumbers(table, { a: 1, b: 0 }), { a: 1, b: 0 })
  t.throws(() => resolveNumbers(table, { b: 10 }), invalid('`b` must be a whole number from 0 to 9, not 10.'))
  t.throws(() => resolveNumbers(table, { a: 0 }, 'the.'), invalid('`the.a` must be a whole number from 1 to 5, not 0.'))
})
