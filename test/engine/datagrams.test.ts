import fc from 'fast-check'
import t from 'tap'
import type { Socket } from '../../src/index.js'
import { difference, pattern } from '../support/datagrams.js'
import { connectPair, type Family, linkName, links, lost, openStacks, take } from '../support/stacks.js'

/** Datagrams in flight that any virtual link holds, whatever their sizes. */
const window = 32

/** Sends datagrams, never more than the link holds at once; what arrived. */
const carry = async (from: Socket, to: Socket, datagrams: readonly Uint8Array[]): Promise<Uint8Array[]> => {
  const arrived: Uint8Array[] = []
  for (let i = 0; i < datagrams.length; i += window) {
    const some = datagrams.slice(i, i + window)
    for (const datagram of some) from.send(datagram)
    arrived.push(...(await take(to, some.length)))
  }
  return arrived
}

for (const link of links) {
  t.test(`transfer: ${linkName(link)}`, async t => {
    const stacks = await openStacks(t, link)
    for (const family of [4, 6] as const satisfies Family[]) {
      const { client, server, listener } = await connectPair(stacks, 4567, family)
      const most = family === 4 ? 1460 : 1440
      t.equal(client.maxDatagram, most)
      t.equal(server.maxDatagram, most)

      await t.test(`IPv${family}: datagrams of any sizes keep content, boundaries and order`, async t => {
        const size = fc.oneof(
          fc.integer({ min: 1, max: most }),
          fc.constantFrom(1, 2, most - 1, most),
          fc.constant(1200),
        )
        await fc.assert(
          fc.asyncProperty(fc.array(size, { minLength: 1, maxLength: 200 }), fc.boolean(), async (sizes, back) => {
            const datagrams = sizes.map(pattern)
            const [from, to] = back ? [server, client] : [client, server]
            const wrong = difference(await carry(from, to, datagrams), datagrams)
            if (wrong !== undefined) throw new Error(wrong)
          }),
          { numRuns: 60 },
        )
        t.pass()
      })

      await t.test(`IPv${family}: send and sendBatch mixed keep their order`, async t => {
        const step = fc.record({
          batch: fc.boolean(),
          size: fc.integer({ min: 1, max: most }),
          count: fc.integer({ min: 1, max: 6 }),
          last: fc.integer({ min: 1, max: most }),
        })
        await fc.assert(
          fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 5 }), async steps => {
            const sent: Uint8Array[] = []
            for (const { batch, size, count, last } of steps) {
              const datagrams = Array.from({ length: count }, (_, i) => pattern(size, sent.length + i))
              datagrams.push(pattern(Math.min(last, size), sent.length + count))
              if (!batch) for (const datagram of datagrams) client.send(datagram)
              else if (client.sendBatch(Buffer.concat(datagrams), size) !== datagrams.length) {
                throw new Error('the link was full')
              }
              sent.push(...datagrams)
            }
            const wrong = difference(await take(server, sent.length), sent)
            if (wrong !== undefined) throw new Error(wrong)
          }),
          { numRuns: 100 },
        )
        t.pass()
      })

      await t.test(`IPv${family}: a batch larger than one super-packet`, async t => {
        for (const length of [65_536, 65_495, 65_475, 90_001]) {
          const bytes = pattern(length, length)
          const count = Math.ceil(length / 1400)
          t.equal(client.sendBatch(bytes, 1400), count)
          const arrived = await take(server, count)
          t.equal(Buffer.compare(Buffer.concat(arrived), bytes), 0, `${length} bytes`)
          t.same(
            new Set(arrived.slice(0, -1).map(datagram => datagram.length)),
            new Set([1400]),
            'all of one size but the last',
          )
          t.equal(arrived[count - 1].length, length - 1400 * (count - 1))
        }
      })

      await t.test(`IPv${family}: batches come as views that hold whole datagrams`, async t => {
        const bytes = pattern(20 * 1000 + 1, family)
        client.sendBatch(bytes, 1000)
        client.send(pattern(17, 1))
        const got: Uint8Array[] = []
        let count = 0
        for await (const batch of server.batches()) {
          t.equal(batch.count, Math.ceil(batch.bytes.length / batch.segmentSize))
          got.push(batch.bytes.slice())
          count += batch.count
          if (count === 22) break
        }
        t.equal(Buffer.compare(Buffer.concat(got), Buffer.concat([bytes, pattern(17, 1)])), 0)
      })

      await Promise.all([client.close(), server.closed])
      await listener.close()
    }
    t.same(lost(stacks.a), {}, 'nothing dropped at one end')
    t.same(lost(stacks.b), {}, 'nor at the other')
  })
}

t.test('two flows, both ways at once, with a reader that iterates', async t => {
  const stacks = await openStacks(t, { queues: 2 })
  const pairs = [await connectPair(stacks, 1), await connectPair(stacks, 2, 6)]
  const run = async (from: Socket, to: Socket, seed: number) => {
    let next = 0
    const reader = (async () => {
      for await (const datagram of to) {
        if (Buffer.compare(datagram, pattern(datagram.length, seed + next++)) !== 0) throw new Error(`datagram ${next}`)
        if (next === 600) return
      }
    })()
    for (let i = 0; i < 600; i++) {
      from.send(pattern(1 + ((i * 37 + seed) % 1400), seed + i))
      if (i % 12 === 11) while (next < i - 11) await new Promise(setImmediate)
    }
    await reader
    return next
  }
  const results = await Promise.all(
    pairs.flatMap(({ client, server }, i) => [run(client, server, i * 1000), run(server, client, i * 5000)]),
  )
  t.same(results, [600, 600, 600, 600])
})
