import t from 'tap'
import { counterPageBytes, counterPageLength } from '../../src/memory/counters.js'
import { DeliveryRing } from '../../src/memory/delivery-ring.js'
import { laneBytes } from '../../src/memory/lane.js'
import { listeningPorts, StackMemory } from '../../src/memory/shared-stack.js'
import { MemoryStack } from '../support/memory-stack.js'
import { spanAt } from '../support/spans.js'

t.test('listening ports: a bit each', async t => {
  const bits = new Int32Array(new SharedArrayBuffer(listeningPorts.bytes))
  const listening = () =>
    Array.from({ length: 65_536 }, (_, port) => port).filter(port => listeningPorts.isListening(bits, port))
  t.strictSame(listening(), [])
  for (const port of [0, 1, 31, 32, 63, 4567, 65_535]) listeningPorts.setListening(bits, port, true)
  listeningPorts.setListening(bits, 4567, true)
  t.strictSame(listening(), [0, 1, 31, 32, 63, 4567, 65_535])
  for (const port of [31, 4567, 4566]) listeningPorts.setListening(bits, port, false)
  t.strictSame(listening(), [0, 1, 32, 63, 65_535])
})

t.test("threads' pages and bells do not overlap and fill their memory", async t => {
  const stack = new MemoryStack({ queues: 3 })
  t.teardown(() => stack.close())
  const { memory, shared } = stack
  const { threads } = memory
  t.equal(threads, 4)
  for (let thread = 0; thread < threads; thread++) {
    memory.counters(thread).fill(thread + 1)
    memory.bell(thread).arm()
  }
  const pages = new Float64Array(shared.counters)
  t.ok(pages.every((value, i) => value === Math.floor(i / counterPageLength) + 1))
  t.equal(pages.byteLength, threads * counterPageBytes)
  for (let thread = 0; thread < threads; thread++) {
    t.ok(memory.bell(thread).ring())
    t.notOk(memory.bell(thread).ring())
  }
})

t.test('a lane from each worker to each thread', async t => {
  for (const laneCapacity of [512 * 1024, 1_234_567]) {
    const stack = new MemoryStack({ queues: 3, laneCapacity })
    const { memory, shared } = stack
    const { threads } = memory
    const pairs = Array.from({ length: 3 * threads }, (_, i) => [Math.floor(i / threads), i % threads])
    const ends = pairs.map(([worker, consumer]) => ({
      writer: memory.laneTo(consumer, worker),
      reader: memory.laneFrom(worker, consumer),
    }))
    t.teardown(() => {
      for (const { writer, reader } of ends) {
        writer.close()
        reader.close()
      }
      stack.close()
    })
    const size = laneBytes(laneCapacity)
    t.equal(size % 128, 0)
    t.equal(shared.lanes.byteLength, ends.length * size)
    for (const [i, { writer, reader }] of ends.entries()) {
      const { bytes } = writer
      const { words } = writer.ring
      t.equal(words.byteOffset - DeliveryRing.bytesFor(0), i * size, 'one after the other')
      t.ok(words.byteOffset + words.byteLength < bytes.byteOffset)
      t.ok(bytes.byteOffset + bytes.length <= (i + 1) * size)
      t.equal(reader.ring.words.byteOffset, words.byteOffset)
      t.equal(reader.bytes.byteOffset, bytes.byteOffset)
    }
    t.throws(() => memory.laneTo(0, threads - 1), RangeError, 'the coordinator produces nothing')
  }
})

t.test('a lane rings the bell of its consumer', async t => {
  const stack = new MemoryStack({ queues: 2 })
  const { memory } = stack
  const [writer, reader] = [memory.laneTo(2, 1), memory.laneFrom(1, 2)]
  t.teardown(() => {
    writer.close()
    reader.close()
    stack.close()
  })
  for (const thread of [0, 1, 2]) memory.bell(thread).arm()
  t.ok(writer.makeRoom())
  t.ok(writer.put({ slot: 1, generation: 2 }, spanAt(writer.arena, writer.at, 100)))
  t.equal(reader.ring.peek(), -1)
  writer.settle()
  t.not(reader.ring.peek(), -1)
  t.strictSame(
    [0, 1, 2].map(thread => memory.bell(thread).ring()),
    [true, true, false],
    'and no other one',
  )
})

t.test('another thread sees the same', async t => {
  const stack = new MemoryStack()
  t.teardown(() => stack.close())
  const other = new StackMemory(structuredClone(stack.shared))
  const { slot, generation } = stack.add()
  t.ok(other.flows.alive({ slot, generation }))
  stack.listen(80)
  t.ok(listeningPorts.isListening(other.listening, 80))
})
