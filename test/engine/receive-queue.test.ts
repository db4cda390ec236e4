import fc from 'fast-check'
import t from 'tap'
import { ChunkPool } from '../../src/engine/chunk-pool.js'
import { ReceiveQueue } from '../../src/engine/receive-queue.js'
import { native } from '../../src/native.js'
import { difference, pattern } from './support.js'

const bytes = new Uint8Array(65_536)
const arena = native.arenaOpen(bytes)
/** A push as it comes from a ring: `count` datagrams of `size` bytes, the last one of `last`. */
const push = (
  queue: ReceiveQueue,
  size: number,
  count: number,
  last: number,
  seed: number,
): Uint8Array[] | undefined => {
  const length = size * (count - 1) + last
  const at = seed % 100
  bytes.set(pattern(length, seed), at)
  if (!queue.push(arena, at, length, size)) return undefined
  const whole = pattern(length, seed)
  return Array.from({ length: count }, (_, i) => whole.subarray(i * size, Math.min((i + 1) * size, length)))
}

const target = new Uint8Array(1460)
const takeInto = (queue: ReceiveQueue): Uint8Array | undefined => {
  const length = queue.takeInto(target)
  return length === 0 ? undefined : target.slice(0, length)
}

type Step =
  | { kind: 'push'; size: number; count: number; last: number }
  | { kind: 'datagram' | 'into' }
  | { kind: 'batch' }
const steps = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('push' as const),
      size: fc.oneof(fc.constantFrom(1, 100, 1400), fc.integer({ min: 1, max: 1460 })),
      count: fc.integer({ min: 1, max: 44 }),
      last: fc.integer({ min: 1, max: 1460 }),
    }),
    fc.record({ kind: fc.constantFrom('datagram' as const, 'into' as const) }),
    fc.record({ kind: fc.constant('batch' as const) }),
  ),
  { maxLength: 120 },
)

t.test('is a queue of datagrams, however they come and go', async t => {
  const pool = new ChunkPool()
  fc.assert(
    fc.property(steps, fc.constantFrom(65_536, 300_000), (script: Step[], limit) => {
      const queue = new ReceiveQueue(pool, limit)
      const model: Uint8Array[] = []
      let held = 0
      for (const [seed, step] of script.entries()) {
        if (step.kind === 'push') {
          const last = Math.min(step.last, step.size)
          const length = step.size * (step.count - 1) + last
          const pushed = push(queue, step.size, step.count, last, seed)
          // A batch under way counts as read: there may be more room than the model knows, never less.
          if (pushed === undefined && held + length <= limit) throw new Error('refused with room left')
          if (pushed !== undefined && length > limit) throw new Error('took more than its limit')
          model.push(...(pushed ?? []))
          held += pushed === undefined ? 0 : length
        } else if (step.kind !== 'batch') {
          if (queue.nextLength !== (model[0]?.length ?? 0)) throw new Error(`nextLength: ${queue.nextLength}`)
          const found = step.kind === 'into' ? takeInto(queue) : queue.takeDatagram()
          const wanted = model.splice(0, 1)
          held -= wanted[0]?.length ?? 0
          const wrong = difference(found === undefined ? [] : [found], wanted)
          if (wrong !== undefined) throw new Error(wrong)
        } else {
          const batch = queue.takeBatch()
          if (batch === undefined) {
            if (model.length > 0) throw new Error('nothing to take')
            continue
          }
          const found = Array.from({ length: batch.count }, (_, i) =>
            batch.bytes.subarray(i * batch.segmentSize, (i + 1) * batch.segmentSize),
          )
          const wanted = model.splice(0, batch.count)
          held -= batch.bytes.length
          const wrong = difference(found, wanted)
          if (wrong !== undefined) throw new Error(wrong)
        }
        if (queue.empty !== (model.length === 0)) throw new Error(`empty: ${queue.empty}`)
      }
    }),
    { numRuns: 500 },
  )
  t.pass()
})

t.test('equal datagrams merge into one batch, a shorter one ends it', async t => {
  const queue = new ReceiveQueue(new ChunkPool(), 65_536)
  push(queue, 100, 3, 100, 0)
  push(queue, 100, 2, 100, 1)
  push(queue, 40, 1, 40, 2)
  push(queue, 100, 1, 100, 3)
  t.match(queue.takeBatch(), { segmentSize: 100, count: 6 })
  t.match(queue.takeBatch(), { segmentSize: 100, count: 1 })
  t.equal(queue.takeBatch(), undefined)
})

t.test('a batch keeps its bytes until the next step', async t => {
  const queue = new ReceiveQueue(new ChunkPool(), 10_000_000)
  push(queue, 1000, 40, 1000, 1)
  const batch = queue.takeBatch()!
  for (let i = 0; i < 100; i++) push(queue, 1000, 40, 1000, i + 2)
  t.equal(Buffer.compare(batch.bytes, pattern(40_000, 1)), 0)
})

t.test('a datagram is never used again', async t => {
  const queue = new ReceiveQueue(new ChunkPool(), 65_536)
  push(queue, 10, 2, 10, 1)
  const kept = [queue.takeDatagram()!, queue.takeDatagram()!]
  for (let i = 0; i < 1_000; i++) {
    push(queue, 10, 2, 10, i)
    queue.takeBatch()
  }
  t.same(kept, [pattern(20, 1).subarray(0, 10), pattern(20, 1).subarray(10)])
})

t.test('a reader that never catches up does not make it grow', async t => {
  const queue = new ReceiveQueue(new ChunkPool(), 65_536)
  /** A batch of two that merges with nothing. */
  const pushPair = () => queue.push(arena, 0, 2, 2) && queue.push(arena, 0, 1, 1)
  for (let i = 0; i < 4; i++) pushPair()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 2_000_000; i++) {
    if (!pushPair()) return t.fail('full')
    if (queue.takeBatch()?.count !== 2) return t.fail('not a pair')
  }
  t.equal([...Array(4)].filter(() => queue.takeBatch() !== undefined).length, 4, 'it never was empty')
  const grown = (process.memoryUsage().heapUsed - before) / 2 ** 20
  t.ok(grown < 60, `${grown.toFixed(1)} MiB more after two million batches`)
})
