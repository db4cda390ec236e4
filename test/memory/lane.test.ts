import fc from 'fast-check'
import t, { type Test } from 'tap'
import { LaneWriter, laneBytes, readRoom } from '../../src/memory/lane.js'
import { native } from '../../src/native.js'
import { datagrams, difference, pattern } from '../support/datagrams.js'
import { blockBytes, type Delivered, mostDeliveries, TestLane, TestReader } from '../support/lanes.js'
import { spanAt } from '../support/spans.js'
import { runThread } from '../support/threads.js'
import type { LaneAnswer, LaneTask } from './lane-worker.js'

const open = (t: Test, blocks = 2) => {
  const lane = new TestLane(blocks)
  t.teardown(() => lane.close())
  return lane
}

/** What was put so far goes off, and is found as [datagram size, bytes of the whole]. */
const shapes = ({ writer, reader }: TestLane) => {
  writer.settle()
  return reader.all().map(({ segmentSize, length }) => [segmentSize, length])
}

const ways = [
  ['in place', true],
  ['copied', false],
] as const

t.test('room for at least two blocks, whatever is asked for', async t => {
  for (const [capacity, blocks] of [
    [0, 2],
    [512 * 1024, 2],
    [3 * blockBytes - 1, 2],
    [3 * blockBytes, 3],
    [4 * 1024 * 1024, 15],
  ]) {
    const shared = new SharedArrayBuffer(laneBytes(capacity))
    const reader = new TestReader(shared, 0, capacity)
    t.equal(reader.held().length, blocks)
    t.equal(reader.bytes.length, blocks * blockBytes)
    t.equal(reader.bytes.byteOffset % 128, 0)
    reader.close()
  }
})

t.test('a delivery as it was put', async t => {
  for (const [name, here] of ways) {
    await t.test(name, async t => {
      const lane = open(t)
      const { reader, writer } = lane
      const bytes = pattern(40_000, 1)
      lane.putAll([bytes], here, { slot: 7, generation: 14, segmentSize: 1400 })
      t.equal(reader.next(), undefined, 'not before it is flushed')
      writer.flush()
      const delivery = reader.next()!
      t.match(delivery, { slot: 7, generation: 14, segmentSize: 1400, length: 40_000 })
      t.equal(Buffer.compare(reader.read(delivery), bytes), 0)
      const copy = new Uint8Array(40_000)
      native.copy(copy, 0, reader.arena, delivery.at, 40_000)
      t.equal(Buffer.compare(copy, bytes), 0, 'as an arena too')
      t.equal(reader.next(), undefined)
      t.strictSame(reader.held(), [1, 0])
      reader.release(delivery.at)
      t.strictSame(reader.held(), [0, 0])
    })
  }
})

t.test('small equal packets become one delivery', async t => {
  for (const [name, here] of ways) {
    await t.test(name, async t => {
      const lane = open(t)
      const packets = Array.from({ length: 20 }, (_, i) => pattern(100, i))
      lane.putAll(packets.slice(0, 12), here)
      lane.putAll(packets.slice(12), here)
      lane.writer.settle()
      const [delivery, ...others] = lane.reader.all()
      t.match(delivery, { segmentSize: 100, length: 2000 })
      t.equal(difference(datagrams(lane.reader.read(delivery), 100), packets), undefined)
      t.same(others, [])
      t.equal(lane.writer.at, delivery.at + 2000, 'they lie densely')
    })
  }
})

t.test('what was read in place and what was read elsewhere become one delivery', async t => {
  const lane = open(t)
  const packets = Array.from({ length: 12 }, (_, i) => pattern(500, i))
  lane.putAll(packets.slice(0, 4), true)
  lane.putAll(packets.slice(4, 8), false)
  lane.putAll(packets.slice(8), true)
  lane.writer.settle()
  const found = lane.reader.all()
  t.equal(found.length, 1)
  t.equal(difference(datagrams(lane.reader.read(found[0]), 500), packets), undefined)
})

t.test('a long packet that was read in place does not move', async t => {
  const lane = open(t)
  lane.writer.makeRoom()
  const [small, long] = lane.arrive([pattern(100, 1), pattern(8193, 2)])
  lane.putHere(small, 100)
  lane.putHere(long, 8193, { segmentSize: 100 })
  lane.writer.settle()
  t.same(
    lane.reader.all().map(({ at }) => at),
    [small, long],
  )
})

t.test('what ends a delivery', async t => {
  const flow = { slot: 1, generation: 2, segmentSize: 1000 }
  /** Two packets, or three: what each brings, and the deliveries they become. */
  const cases: [string, { length: number; fields?: Partial<typeof flow> }[], number[][]][] = [
    ['another flow', [{ length: 1000 }, { length: 1000, fields: { slot: 2 } }], [[1000, 1000], [1000, 1000]]], // biome-ignore format: a table
    ['another generation', [{ length: 1000 }, { length: 1000, fields: { generation: 4 } }], [[1000, 1000], [1000, 1000]]], // biome-ignore format: a table
    ['a larger size', [{ length: 2000 }, { length: 1001, fields: { segmentSize: 1001 } }], [[1000, 2000], [1001, 1001]]], // biome-ignore format: a table
    ['several of a smaller size', [{ length: 2000 }, { length: 1800, fields: { segmentSize: 900 } }], [[1000, 2000], [900, 1800]]], // biome-ignore format: a table
    ['a shorter one before', [{ length: 2999 }, { length: 1000 }], [[1000, 2999], [1000, 1000]]], // biome-ignore format: a table
    ['a shorter one that was put alone', [{ length: 1000 }, { length: 999, fields: { segmentSize: 999 } }, { length: 999, fields: { segmentSize: 999 } }], [[1000, 1999], [999, 999]]], // biome-ignore format: a table
    ['a long packet', [{ length: 1000 }, { length: 9000 }], [[1000, 1000], [1000, 9000]]], // biome-ignore format: a table
    ['not: several short packets', [{ length: 2000 }, { length: 8000 }, { length: 500 }], [[1000, 10_500]]], // biome-ignore format: a table
    ['not: a long packet before', [{ length: 9000 }, { length: 8000 }], [[1000, 17_000]]],
  ]
  for (const [name, packets, wanted] of cases) {
    for (const [way, here] of ways) {
      const lane = new TestLane()
      lane.writer.makeRoom()
      const places = lane.arrive(packets.map(({ length }, i) => pattern(length, i)))
      for (const [i, { length, fields }] of packets.entries()) {
        if (here) lane.putHere(places[i], length, { ...flow, ...fields })
        else lane.putCopy(pattern(length, i), { ...flow, ...fields })
      }
      lane.writer.settle()
      const found = lane.reader.all()
      t.strictSame(
        found.map(({ segmentSize, length }) => [segmentSize, length]),
        wanted,
        `${name}, ${way}`,
      )
      t.equal(
        Buffer.compare(
          Buffer.concat(found.map(delivery => lane.reader.read(delivery))),
          Buffer.concat(packets.map(({ length }, i) => pattern(length, i))),
        ),
        0,
      )
      lane.close()
    }
  }
})

t.test('a delivery has at most 64 KiB', async t => {
  for (const [name, here] of ways) {
    const lane = open(t)
    lane.putAll(
      Array.from({ length: 17 }, (_, i) => pattern(8192, i)),
      here,
      { segmentSize: 1024 },
    )
    t.strictSame(
      shapes(lane),
      [
        [1024, 65_536],
        [1024, 65_536],
        [1024, 8192],
      ],
      name,
    )
  }
})

t.test('flush ends a delivery, and nothing moves over what lies behind it', async t => {
  const lane = open(t)
  const { writer, reader } = lane
  writer.makeRoom()
  const [first, own, second, third] = lane.arrive([1, 2, 3, 4].map(seed => pattern(300, seed)))
  lane.putHere(first, 300)
  // The second packet is looked at later, where it lies.
  writer.flush()
  lane.putHere(second, 300)
  lane.putHere(third, 300)
  writer.settle()
  t.equal(Buffer.compare(reader.bytes.slice(own, own + 300), pattern(300, 2)), 0)
  const found = reader.all()
  t.same(
    found.map(({ at, length }) => [at, length]),
    [
      [first, 300],
      [second, 600],
    ],
  )
  t.equal(difference(datagrams(reader.read(found[1]), 300), [pattern(300, 3), pattern(300, 4)]), undefined)
})

t.test('settle wakes once for many, and not when nothing was made', async t => {
  const lane = open(t)
  const { writer } = lane
  writer.settle()
  writer.flush()
  writer.settle()
  t.equal(lane.wakes, 0)
  for (let slot = 0; slot < 10; slot++) lane.putCopy(pattern(10, slot), { slot })
  t.equal(lane.wakes, 0, 'not before')
  writer.settle()
  t.equal(lane.wakes, 1)
  writer.settle()
  t.equal(lane.wakes, 1)
  lane.putCopy(pattern(10, 1))
  writer.flush()
  writer.settle()
  t.equal(lane.wakes, 2, 'for what was flushed before, too')
  t.equal(lane.reader.all().length, 11)
})

t.test('settle with more to come wakes for a quarter of the lane, at most for 1 MiB', async t => {
  for (const [blocks, bytes] of [
    [2, blockBytes / 2],
    [8, blockBytes * 2],
    [40, 1024 * 1024],
  ]) {
    const lane = open(t, blocks)
    const { writer } = lane
    const one = pattern(blockBytes / 8, 1)
    for (let round = 1; round <= 2; round++) {
      for (let put = one.length; put < bytes; put += one.length) {
        lane.putCopy(one)
        writer.settle(true)
        t.equal(lane.wakes, round - 1)
      }
      lane.putCopy(one)
      writer.settle(true)
      t.equal(lane.wakes, round)
      for (const { at } of lane.reader.all()) lane.reader.release(at)
    }
    lane.putCopy(one)
    writer.settle(true)
    t.equal(lane.wakes, 2)
    writer.settle()
    t.equal(lane.wakes, 3, 'in the end for anything')
  }
})

/** Fills blocks with deliveries of `length` bytes until the lane is full. */
const fill = (lane: TestLane, length = 60_000): Delivered[] => {
  for (let slot = 0; lane.putCopy(pattern(length, slot), { slot }); slot++) {
    // until there is no room
  }
  lane.writer.settle()
  return lane.reader.all()
}
const blockOf = ({ at }: Delivered) => Math.floor(at / blockBytes)

t.test('a block is used again when all of its deliveries came back, in any order', async t => {
  const orders = [(_: number) => 0, (left: number) => left - 1, (left: number) => left >> 1]
  for (const pick of orders) {
    const lane = open(t, 3)
    const { writer, reader } = lane
    const held = fill(lane)
    t.strictSame(reader.held(), [4, 4, 4])
    t.notOk(writer.makeRoom(), 'every block is held')
    const mine = held.filter(delivery => blockOf(delivery) === 1)
    while (mine.length > 0) {
      t.notOk(writer.makeRoom())
      const [{ at, length }] = mine.splice(pick(mine.length), 1)
      // Anywhere in the delivery will do.
      reader.release(at + length - 1)
    }
    t.ok(writer.makeRoom())
    t.equal(writer.at, blockBytes)
    t.equal(writer.end, 2 * blockBytes)
    lane.putAll(
      [1, 2, 3].map(seed => pattern(60_000, 100 + seed)),
      true,
    )
    for (const [slot, delivery] of held.entries()) {
      if (blockOf(delivery) === 1) continue
      if (Buffer.compare(reader.read(delivery), pattern(60_000, slot)) !== 0) t.fail(`delivery ${slot} was overwritten`)
    }
  }
})

t.test('the first free block is taken: the same few ones serve a consumer that keeps up', async t => {
  const lane = open(t, 8)
  const used = new Set<number>()
  for (let i = 0; i < 200; i++) {
    lane.putAll([pattern(60_000, i)], true)
    lane.writer.settle()
    for (const delivery of lane.reader.all()) {
      used.add(blockOf(delivery))
      if (Buffer.compare(lane.reader.read(delivery), pattern(60_000, i)) !== 0) t.fail(`delivery ${i}`)
      lane.reader.release(delivery.at)
    }
  }
  t.strictSame([...used], [0])
})

t.test('a delivery under way holds its block', async t => {
  const lane = open(t)
  lane.putAll(
    [0, 1, 2, 3].map(seed => pattern(60_000, seed)),
    false,
  )
  // Three of them went off, the fourth did not.
  for (const { at } of lane.reader.all()) lane.reader.release(at)
  t.strictSame(lane.reader.held(), [0, 0])
  t.ok(lane.writer.makeRoom())
  t.equal(lane.writer.at, blockBytes, 'the other block')
  t.strictSame(lane.reader.held(), [1, 0])
  t.equal(Buffer.compare(lane.reader.read(lane.reader.next()!), pattern(60_000, 3)), 0)
})

t.test('room is asked for and found', async t => {
  const lane = open(t)
  const { writer } = lane
  t.equal(writer.at, 0)
  t.equal(writer.end, 0, 'none at first')
  t.ok(writer.makeRoom())
  t.ok(writer.end - writer.at >= readRoom + 63)
  for (let i = 0; i < 100; i++) {
    const { at } = writer
    const had = writer.end - at >= readRoom + 63
    t.ok(writer.makeRoom())
    if (had) t.equal(writer.at, at, 'what is there will do')
    const [from] = lane.arrive([pattern(readRoom - 52, i)])
    lane.putHere(from, readRoom - 52)
    writer.settle()
    for (const delivery of lane.reader.all()) lane.reader.release(delivery.at)
  }
})

t.test('what was not put is not kept', async t => {
  const lane = open(t)
  const { writer } = lane
  writer.makeRoom()
  const { at } = writer
  const [, second] = lane.arrive([pattern(1000, 1), pattern(1000, 2)])
  t.equal(writer.at, at)
  lane.putHere(second, 1000)
  writer.settle()
  t.equal(Buffer.compare(lane.reader.read(lane.reader.next()!), pattern(1000, 2)), 0)
})

t.test('a lane that is full refuses copies, and loses nothing else', async t => {
  const lane = open(t)
  const { writer, reader } = lane
  const held = fill(lane, 1000)
  const room = Math.floor(blockBytes / 1000)
  t.equal(held.length, 2 * room)
  t.notOk(lane.putCopy(pattern(1000, 1)))
  t.ok(writer.ring.reserve() >= 0, 'there is room for a record')
  writer.settle()
  t.equal(reader.next(), undefined)
  t.ok(lane.putCopy(pattern(600, 5)), 'a shorter one fits')
  writer.settle()
  held.push(reader.next()!)
  for (const [slot, delivery] of held.slice(0, 2 * room).entries()) {
    if (Buffer.compare(reader.read(delivery), pattern(1000, slot)) !== 0) t.fail(`delivery ${slot} was overwritten`)
  }
  for (const { at } of held) reader.release(at)
  t.strictSame(reader.held(), [0, 0])
  t.equal(fill(lane, 1000).length, 2 * room, 'and all of it is there again')
})

t.test('a full ring of deliveries refuses; nothing is lost or leaked', async t => {
  for (const [name, here] of ways) {
    await t.test(name, async t => {
      const lane = open(t)
      const { writer, reader } = lane
      writer.makeRoom()
      for (let round = 0; round < 3; round++) {
        let held: Delivered[] = []
        let made = 0
        /** Each of another flow than the one before, so that each is a delivery. */
        const put = () => {
          const fields = { slot: made }
          if (!here) return lane.putCopy(pattern(4, made), fields)
          if (!writer.makeRoom()) throw new Error('no room')
          return lane.putHere(lane.arrive([pattern(4, made)])[0], 4, fields)
        }
        while (put()) made++
        t.equal(made, mostDeliveries)
        t.notOk(put())
        const { at } = writer
        t.notOk(put())
        t.equal(writer.at, at, 'it took no bytes')
        writer.settle()
        held = reader.all()
        t.equal(held.length, mostDeliveries)
        t.ok(held.every(({ slot }, i) => slot === i))
        t.ok(put(), 'room for one again, though none was given back')
        writer.settle()
        held.push(...reader.all())
        t.ok(held.every(delivery => Buffer.compare(reader.read(delivery), pattern(4, delivery.slot)) === 0))
        for (const delivery of held) reader.release(delivery.at)
        t.strictSame(reader.held(), [0, 0])
      }
    })
  }
})

t.test('few deliveries may be kept for long', async t => {
  for (const [blocks, most] of [
    [2, 0],
    [3, 0],
    [4, 1],
    [15, 3],
    [16, 4],
  ]) {
    const { reader } = open(t, blocks)
    let lent = 0
    while (reader.lend()) lent++
    t.equal(lent, most, `${most} of ${blocks} blocks`)
    t.notOk(reader.lend())
    if (most === 0) continue
    reader.unlend()
    t.ok(reader.lend())
    t.notOk(reader.lend())
  }
})

t.test('whoever takes the place of a worker goes on where it stopped', async t => {
  const capacity = 2 * blockBytes
  const shared = new SharedArrayBuffer(laneBytes(capacity))
  const reader = new TestReader(shared, 0, capacity)
  const source = new Uint8Array(1000)
  const arena = native.arenaOpen(source)
  const held: Delivered[] = []
  for (let life = 0; life < 20; life++) {
    const writer = new LaneWriter(shared, 0, capacity, () => {})
    source.set(pattern(1000, life))
    t.ok(writer.put({ slot: life, generation: 2 }, spanAt(arena, 0, 1000)))
    writer.flush()
    source.fill(0xdd)
    // It dies with a delivery under way.
    t.ok(writer.put({ slot: 99, generation: 2 }, spanAt(arena, 0, 1000)))
    held.push(...reader.all())
    const { at } = held[held.length - 1]
    t.match(held[held.length - 1], { slot: life, length: 1000 })
    t.equal(Buffer.compare(reader.bytes.slice(at, at + 1000), pattern(1000, life)), 0)
    if (held.length === 2) reader.release(held.shift()!.at)
    writer.close()
  }
  t.equal(held.length, 1)
  t.equal(Buffer.compare(reader.read(held[0]), pattern(1000, 19)), 0)
  reader.close()
  native.arenaClose(arena)
})

interface Packet {
  slot: number
  generation: number
  size: number
  count: number
  last: number
}
type Step =
  | { kind: 'read'; packets: Packet[] }
  | { kind: 'copy'; packet: Packet }
  | { kind: 'flush' | 'settle' | 'take' }
  | { kind: 'release'; which: number; inside: number }

const packet = fc.record({
  slot: fc.nat({ max: 2 }),
  generation: fc.constantFrom(2, 2, 2, 4),
  size: fc.oneof(fc.constantFrom(1, 100, 1400), fc.integer({ min: 1, max: 9000 })),
  count: fc.constantFrom(1, 1, 1, 2, 5, 46),
  last: fc.integer({ min: 1, max: 9000 }),
})
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('read' as const), packets: fc.array(packet, { minLength: 1, maxLength: 30 }) }) }, // biome-ignore format: a table
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('copy' as const), packet }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constantFrom('flush' as const, 'settle' as const, 'take' as const) }),
    },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('release' as const), which: fc.nat(), inside: fc.nat() }) },
  ),
  { maxLength: 100, size: 'max' },
)

/** What the lane must do, in plain lists: datagrams that were put, and deliveries that were taken and not given back. */
const play = (lane: TestLane, script: readonly Step[]): { refused: number; merged: number } => {
  const { writer, reader } = lane
  const put: { slot: number; generation: number; bytes: Uint8Array }[] = []
  const held: { delivery: Delivered; bytes: Buffer }[] = []
  const seen = { refused: 0, merged: 0 }
  let seed = 0
  let made = false
  const fail = (what: string): never => {
    throw new Error(what)
  }
  const intact = () => {
    for (const { delivery, bytes } of held) {
      const { at, length } = delivery
      if (bytes.compare(reader.bytes, at, at + length) !== 0) fail(`bytes of the delivery at ${at} changed`)
    }
  }
  const take = () => {
    for (const delivery of reader.all()) {
      const { slot, generation, segmentSize, length } = delivery
      if (length > 65_536) fail(`a delivery of ${length} bytes`)
      const bytes = Buffer.from(reader.read(delivery))
      const parts = datagrams(bytes, segmentSize)
      if (parts.length > 1) seen.merged++
      for (const part of parts) {
        const wanted = put.shift() ?? fail('a datagram that nobody put')
        if (wanted.slot !== slot || wanted.generation !== generation) fail('a datagram of another flow')
        if (Buffer.compare(part, wanted.bytes) !== 0) fail(`${part.length} bytes instead of ${wanted.bytes.length}`)
      }
      held.push({ delivery, bytes })
    }
  }
  /** True when the consumer has something in every block. */
  const allHeld = () => {
    writer.flush()
    take()
    return new Set(held.map(({ delivery }) => blockOf(delivery))).size === reader.held().length
  }
  const shapeOf = ({ slot, generation, size, count, last }: Packet) => {
    const most = Math.min(count, Math.floor(65_000 / size))
    const length = size * (most - 1) + Math.min(last, size)
    return { fields: { slot, generation, segmentSize: Math.min(size, length) }, bytes: pattern(length, seed++) }
  }
  const wasPut = (done: boolean, { fields, bytes }: ReturnType<typeof shapeOf>) => {
    if (!done) {
      seen.refused++
      return
    }
    made = true
    const { slot, generation, segmentSize } = fields
    put.push(...datagrams(bytes, segmentSize).map(part => ({ slot, generation, bytes: part })))
  }

  for (const step of script) {
    switch (step.kind) {
      case 'read': {
        if (!writer.makeRoom()) {
          if (!allHeld()) fail('no room, though a block is free')
          break
        }
        const packets = step.packets.map(shapeOf)
        // As a batch is read: while there is room for the largest packet.
        const fitting: typeof packets = []
        let { at } = writer
        for (const one of packets) {
          at = Math.ceil(at / 64) * 64
          if (writer.end - at < readRoom) break
          at += 52 + one.bytes.length
          fitting.push(one)
        }
        const places = lane.arrive(fitting.map(({ bytes }) => bytes))
        for (const [i, one] of fitting.entries()) wasPut(lane.putHere(places[i], one.bytes.length, one.fields), one)
        break
      }
      case 'copy': {
        const one = shapeOf(step.packet)
        const done = lane.putCopy(one.bytes, one.fields)
        if (!done && writer.ring.reserve() >= 0 && !allHeld()) fail('refused, though a block is free')
        wasPut(done, one)
        break
      }
      case 'flush':
        writer.flush()
        break
      case 'settle': {
        const before = lane.wakes
        writer.settle()
        if (lane.wakes - before !== (made ? 1 : 0)) fail(`${lane.wakes - before} wakes`)
        made = false
        break
      }
      case 'take':
        take()
        break
      case 'release':
        for (let i = step.which % 7; i > 0 && held.length > 0; i--) {
          const [{ delivery }] = held.splice(step.which % held.length, 1)
          reader.release(delivery.at + (step.inside % delivery.length))
        }
    }
    intact()
  }
  writer.settle()
  take()
  intact()
  if (put.length > 0) fail(`${put.length} datagrams were lost`)
  for (const { delivery } of held) reader.release(delivery.at)
  if (reader.held().some(count => count !== 0)) fail(`held in the end: ${reader.held()}`)
  return seen
}

t.test('any sequence of packets and releases, as plain lists would do it', async t => {
  const total = { refused: 0, merged: 0 }
  // A lane goes from one script to the next as it was left.
  const lanes = new Map([2, 3, 5].map(blocks => [blocks, open(t, blocks)]))
  fc.assert(
    fc.property(steps, fc.constantFrom(2, 3, 5), (script: Step[], blocks) => {
      const { refused, merged } = play(lanes.get(blocks)!, script)
      total.refused += refused
      total.merged += merged
    }),
    // A lane that failed is no good for making the script shorter.
    { numRuns: 200, endOnFailure: true },
  )
  t.ok(total.refused > 0)
  t.ok(total.merged > 0)
  t.comment(`${total.refused} packets refused, ${total.merged} deliveries of several datagrams`)
})

t.test('two threads: every byte, given back late and out of order', async t => {
  for (const [blocks, packets] of [
    [2, 30_000],
    [6, 60_000],
  ]) {
    const capacity = blocks * blockBytes
    const shared = new SharedArrayBuffer(laneBytes(capacity))
    const file = new URL('lane-worker.js', import.meta.url)
    const ready = new Int32Array(new SharedArrayBuffer(4)).fill(2)
    const run = (role: LaneTask['role']) =>
      runThread<LaneAnswer>(file, { role, shared, capacity, packets, seed: blocks, ready } satisfies LaneTask)
    const [produced, consumed] = await Promise.all([run('produce'), run('consume')])
    t.equal(produced.fault, '')
    t.equal(consumed.fault, '')
    t.equal(consumed.bytes, produced.bytes)
    const reader = new TestReader(shared, 0, capacity)
    t.equal(reader.next(), undefined, 'nothing is left')
    t.ok(
      reader.held().every(count => count === 0),
      'and nothing held',
    )
    reader.close()
    t.comment(
      `${packets} packets, ${consumed.deliveries} deliveries, ${produced.bytes} bytes, ${produced.refused} times no room`,
    )
  }
})
