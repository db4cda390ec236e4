import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { race } from '../../src/engine/race.js'

/** Attempts that are settled by hand; what began, was aborted or discarded. */
const open = (count: number, delayMs: number) => {
  const settle: { resolve: (value: number) => void; reject: (error: Error) => void }[] = []
  const notes: string[] = []
  const attempts = Array.from({ length: count }, (_, i) => (signal: AbortSignal) => {
    notes.push(`begin ${i}`)
    signal.addEventListener('abort', () => notes.push(`abort ${i}`))
    return new Promise<number>((resolve, reject) => {
      settle[i] = { resolve, reject }
    })
  })
  const result = race(attempts, delayMs, late => notes.push(`discard ${late}`))
  return { settle, notes, result }
}

t.test('the first one answers: no other begins', async t => {
  const { settle, notes, result } = open(3, 20)
  settle[0].resolve(7)
  t.equal(await result, 7)
  await sleep(50)
  t.same(notes, ['begin 0', 'abort 0'])
})

t.test('a silent one is left behind, and what it brings late is discarded', async t => {
  const { settle, notes, result } = open(2, 1)
  while (notes.length < 2) await sleep(1)
  settle[1].resolve(8)
  t.equal(await result, 8)
  settle[0].resolve(9)
  await sleep(1)
  t.same(notes, ['begin 0', 'begin 1', 'abort 0', 'abort 1', 'discard 9'])
})

t.test('a refusal does not wait for the delay', async t => {
  const { settle, notes, result } = open(3, 100_000)
  settle[0].reject(new Error('refused'))
  await sleep(1)
  t.same(notes, ['begin 0', 'begin 1'])
  settle[1].resolve(1)
  t.equal(await result, 1)
})

t.test('when all fail, the first one’s reason counts', async t => {
  const { settle, result } = open(3, 0)
  while (settle.length < 3) await sleep(1)
  for (const i of [2, 0, 1]) settle[i].reject(new Error(`number ${i}`))
  await t.rejects(result, { message: 'number 0' })
})
