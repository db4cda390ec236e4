import t from 'tap'
import { counterNames, counterPageBytes } from '../../src/memory/counters.js'
import { PacketRing } from '../../src/memory/packet-ring.js'
import { ports, StackMemory } from '../../src/workers/shared-stack.js'
import { MemoryStack } from '../support/memory-stack.js'

t.test('listening ports: a bit each', async t => {
  const bits = new Int32Array(new SharedArrayBuffer(ports.bytes))
  const listening = () =>
    Array.from({ length: 65_536 }, (_, port) => port).filter(port => ports.isListening(bits, port))
  t.strictSame(listening(), [])
  for (const port of [0, 1, 31, 32, 63, 4567, 65_535]) ports.setListening(bits, port, true)
  ports.setListening(bits, 4567, true)
  t.strictSame(listening(), [0, 1, 31, 32, 63, 4567, 65_535])
  for (const port of [31, 4567, 4566]) ports.setListening(bits, port, false)
  t.strictSame(listening(), [0, 1, 32, 63, 65_535])
})

t.test("threads' pages, bells and rings do not overlap and fill their memory", async t => {
  const stack = new MemoryStack({ queues: 3, ringCapacity: 256 })
  t.teardown(() => stack.close())
  const { memory, shared } = stack
  const { threads } = memory
  t.equal(threads, 4)
  for (let thread = 0; thread < threads; thread++) {
    memory.counters(thread).fill(thread + 1)
    memory.bell(thread).arm()
  }
  const pages = new Float64Array(shared.counters)
  t.ok(pages.every((value, i) => value === Math.floor(i / counterNames.length) + 1))
  t.equal(pages.byteLength, threads * counterPageBytes)
  for (let thread = 0; thread < threads; thread++) {
    t.ok(memory.bell(thread).ring())
    t.notOk(memory.bell(thread).ring())
  }

  t.equal(shared.rings.byteLength, StackMemory.ringBytes(threads, 256))
  const starts: number[] = []
  for (let producer = 0; producer < threads - 1; producer++) {
    for (let consumer = 0; consumer < threads; consumer++) {
      const { bytes } = memory.ring(producer, consumer)
      t.equal(bytes.length, 256)
      starts.push(bytes.byteOffset)
    }
  }
  const size = PacketRing.bytesFor(256)
  t.strictSame(
    starts,
    starts.map((_, i) => size * (i + 1) - 256),
    'producers × consumers, one after the other',
  )
  t.throws(() => memory.ring(threads - 1, 0), RangeError, 'the coordinator produces nothing')
})

t.test('another thread sees the same', async t => {
  const stack = new MemoryStack()
  t.teardown(() => stack.close())
  const other = new StackMemory(structuredClone(stack.shared))
  const { slot, generation } = stack.add()
  t.ok(other.flows.alive(slot, generation))
  stack.listen(80)
  t.ok(ports.isListening(other.listening, 80))
})
