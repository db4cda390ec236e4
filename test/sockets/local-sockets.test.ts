import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Field, type FlowId } from '../../src/memory/flow-table.js'
import { Egress } from '../../src/path/egress.js'
import { End } from '../../src/path/messages.js'
import { LocalSockets } from '../../src/sockets/local-sockets.js'
import { NotingSocket } from '../support/held-socket.js'
import { TestLane } from '../support/lanes.js'
import { type FlowFields, MemoryStack } from '../support/memory-stack.js'
import { ports } from '../support/packets.js'
import { spanAt } from '../support/spans.js'

/** The thread whose sockets are under test: the main thread of a stack with one queue. */
const thread = 1

const open = (t: Test) => {
  const stack = new MemoryStack()
  const { memory } = stack
  const counters = memory.counters(thread)
  const egress = new Egress(memory, counters)
  const asked: unknown[] = []
  const sockets = new LocalSockets(memory, counters, egress, 1000, {
    make: (home, flow, localAddress) => new NotingSocket(home, flow, localAddress),
    end: flow => asked.push(['end', flow]),
    offered: socket => asked.push(['offered', socket]),
  })
  const lane = new TestLane()
  t.teardown(() => {
    lane.close()
    egress.close()
    stack.close()
  })
  let flows = 0
  return {
    stack,
    sockets,
    lane,
    asked,
    flow: (fields: FlowFields = {}): FlowId => stack.add({ ports: ports + (flows++ << 16), ...fields }),
    /** A delivery of equal datagrams for a flow comes by the lane. Answers whether it was given back. */
    deliver(flow: FlowId, length: number, segmentSize = length): boolean {
      const { reader } = lane
      lane.putCopy(new Uint8Array(length), { ...flow, segmentSize })
      lane.writer.settle()
      const { at } = reader.next()!
      sockets.deliver(reader, flow, spanAt(reader.arena, at, length, segmentSize))
      return reader.held().every(count => count === 0)
    },
  }
}

t.test('a socket is found by its connection, not by its slot alone', async t => {
  const { sockets, flow } = open(t)
  const id = flow()
  const socket = sockets.add(id)
  t.equal(sockets.get(id), socket)
  t.equal(sockets.size, 1)
  const later = { slot: id.slot, generation: id.generation + 2 }
  t.equal(sockets.get(later), undefined)
  t.equal(sockets.remove(later), undefined)
  sockets.ended(later, End.reset)
  t.strictSame([sockets.size, socket.noted()], [1, []])
  t.equal(sockets.remove(id), socket)
  t.strictSame([sockets.size, sockets.get(id)], [0, undefined])
  t.equal(sockets.remove(id), undefined)
  t.equal(sockets.size, 0)
})

t.test('the next connection of a slot takes the place of the one before', async t => {
  const { sockets, flow } = open(t)
  const id = flow()
  sockets.add(id)
  const next = { slot: id.slot, generation: id.generation + 2 }
  const socket = sockets.add(next)
  t.equal(sockets.size, 1)
  t.equal(sockets.get(next), socket)
  t.equal(sockets.get(id), undefined)
})

t.test('a socket gets the address of its family', async t => {
  const { sockets, flow } = open(t)
  t.equal(sockets.add(flow()).localAddress, '192.168.201.2')
  t.equal(sockets.add(flow({ family: 6 })).localAddress, 'fcc9::2')
})

t.test('an end is told to the socket, which is none of the thread’s any more', async t => {
  const { sockets, flow } = open(t)
  const id = flow()
  const socket = sockets.add(id)
  sockets.ended(id, End.timeout)
  t.strictSame([socket.noted(), sockets.size], [[`ended ${End.timeout}`], 0])
  sockets.ended(id, End.reset)
  t.strictSame(socket.noted(), [], 'once')
})

t.test('what a socket asks goes to the stack', async t => {
  const { sockets, flow, asked } = open(t)
  const id = flow()
  const socket = sockets.add(id)
  socket.home.end(id)
  socket.home.offered(socket)
  t.strictSame(asked, [
    ['end', id],
    ['offered', socket],
  ])
})

t.test('a delivery that the socket takes whole is no loss', async t => {
  const { stack, sockets, flow, deliver } = open(t)
  const id = flow()
  const socket = sockets.add(id)
  deliver(id, 250, 100)
  t.strictSame(socket.noted(), ['got 250'])
  t.strictSame(stack.raised(thread), {})
  t.equal(stack.memory.flows.load(id.slot, Field.overflow), 0)
})

t.test('datagrams that the socket has no room for are lost, and counted one by one', async t => {
  const { stack, sockets, flow, deliver } = open(t)
  const id = flow()
  const overflow = () => stack.memory.flows.load(id.slot, Field.overflow)
  const socket = sockets.add(id)
  socket.room = 100
  deliver(id, 350, 100)
  t.strictSame([stack.raised(thread), overflow()], [{ receiveQueueFull: 3 }, 3])
  socket.room = 0
  t.ok(deliver(id, 250, 100), 'nobody else gives back what nothing was taken of')
  t.strictSame([stack.raised(thread), overflow()], [{ receiveQueueFull: 3 }, 6])
})

t.test('datagrams without a socket are lost and given back', async t => {
  const { stack, flow, deliver } = open(t)
  const id = flow()
  t.ok(deliver(id, 250, 100))
  t.strictSame(stack.raised(thread), { flowGone: 3 })
  t.equal(stack.memory.flows.load(id.slot, Field.overflow), 0, 'no socket was too slow')
})

t.test('what a socket loses after its connection is not noted at the next one of the slot', async t => {
  const { stack, sockets, flow, deliver } = open(t)
  const id = flow()
  sockets.add(id).room = 0
  stack.end(id)
  deliver(id, 10)
  t.strictSame(stack.raised(thread), { receiveQueueFull: 1 })
  t.equal(stack.memory.flows.load(id.slot, Field.overflow), 0)
})

for (const [later, note, now] of [
  ['flushLater', 'flush', 'flush'],
  ['leaveLaneLater', 'leaveLane', 'leaveLanes'],
] as const) {
  t.test(`${later}: at the end of the turn, each turn anew`, async t => {
    const { sockets, flow } = open(t)
    const [first, second] = [sockets.add(flow()), sockets.add(flow())]
    const noted = () => [first.noted(), second.noted()]
    for (let i = 0; i < 2; i++) {
      sockets[later](first)
      sockets[later](second)
      t.strictSame(noted(), [[], []], 'not yet')
      await turn()
      t.strictSame(noted(), [[note], [note]])
    }
    sockets[later](first)
    sockets[now]()
    t.strictSame(noted(), [[note], []], 'whoever cannot wait does it at once')
    await turn()
    t.strictSame(noted(), [[], []], 'and it is done')
  })
}
