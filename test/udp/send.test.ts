import t, { type Test } from 'tap'
import type { Batch } from '../../src/memory/batch.js'
import { Errno, native } from '../../src/native.js'
import { UdpSender } from '../../src/udp/send.js'
import { batchOf, closedPort, connectedTo, openSink } from '../support/udp-socket.js'

/** Answers of the system call, in order, by call; undefined: what the kernel answers. */
type Answers = (call: number, messages: number) => number | undefined

const open = (
  t: Test,
  { answers = () => undefined, segment = true }: { answers?: Answers; segment?: boolean } = {},
) => {
  const sink = openSink(t)
  const route = connectedTo(t, sink.port)
  const calls: number[] = []
  let call = 0
  let lost = 0
  const sender = new UdpSender({
    segment,
    lost: datagrams => {
      lost += datagrams
    },
    send: (fd, family, memory, vec, vecAt, messages) => {
      calls.push(messages)
      return answers(++call, messages) ?? native.udpSend(fd, family, memory, vec, vecAt, messages)
    },
  })
  return {
    sink,
    route,
    sender,
    /** Messages of each system call. */
    calls,
    lost: () => lost,
    /** Sends a batch at once; whether all of it came, in order. */
    async carries(batch: Batch): Promise<boolean> {
      sender.add(route, batch)
      sender.flush()
      return Buffer.concat(await sink.received()).equals(batch.bytes)
    },
  }
}

const sizes = async (sink: { received(): Promise<Uint8Array[]> }) => (await sink.received()).map(({ length }) => length)

t.test('a batch leaves as one message, several batches in one call', async t => {
  const { sender, route, sink, calls } = open(t)
  for (const [datagrams, size] of [
    [46, 1_400],
    [3, 100],
  ] as const) {
    sender.add(route, batchOf(datagrams, size, 5))
    sender.flush()
  }
  t.same(calls, [1, 1])
  t.same(await sizes(sink), [...Array(46).fill(1_400), 100, 100, 100])
  const batch = batchOf(4, 500)
  for (let i = 0; i < 3; i++) sender.add(route, batch)
  sender.flush()
  sender.flush()
  t.same(calls.slice(2), [3])
  t.same(await sizes(sink), Array(12).fill(500))
})

t.test('more than a message may hold, and more than a call takes', async t => {
  const { carries, calls } = open(t)
  t.ok(await carries(batchOf(200, 10, 100)), '64 datagrams a message')
  t.ok(await carries(batchOf(60, 1_460)), '65,507 bytes a message')
  t.same(calls, [4, 2])
  t.ok(await carries(batchOf(130, 1)))
})

t.test('another socket or memory makes what was gathered leave', async t => {
  const { sender, route, sink, calls } = open(t)
  const other = connectedTo(t, sink.port)
  sender.add(route, batchOf(1, 10))
  sender.add(route, batchOf(1, 20))
  sender.add(other, batchOf(1, 30))
  sender.flush()
  t.same(calls, [1, 1, 1])
  t.same(await sizes(sink), [10, 20, 30])
})

t.test('without UDP_SEGMENT: single datagrams, many in one call', async t => {
  const { carries, calls } = open(t, { segment: false })
  t.ok(await carries(batchOf(46, 1_400, 7)))
  t.ok(await carries(batchOf(300, 10, 150)))
  t.same(calls, [46, 128, 128, 44])
})

t.test('a kernel or device that refuses to cut: the same datagrams go one by one, and it is remembered', async t => {
  for (const [name, always] of [
    ['EIO', true],
    ['EOPNOTSUPP', true],
    ['EINVAL', false],
    ['EMSGSIZE', false],
  ] as const) {
    const { carries, calls, lost, route } = open(t, { answers: call => (call <= 2 ? -Errno[name] : undefined) })
    t.ok(await carries(batchOf(10, 1_400, 4)), `${name}: nothing is lost`)
    t.same(calls.splice(0), [1, 1, 10])
    t.ok(await carries(batchOf(10, 1_400)))
    t.same(calls.splice(0), [10], 'not tried again with this size')
    t.ok(await carries(batchOf(10, 1_401)))
    t.same(calls.splice(0), [10], 'nor with a larger one')
    t.ok(await carries(batchOf(10, 1_399)))
    t.same(calls.splice(0), [always ? 10 : 1], `with a smaller one: ${always ? 'neither' : 'it is'}`)
    t.equal(lost(), 0)
    t.same(route.notes, [])
  }
})

t.test('a shorter last datagram, and messages behind the refused one', async t => {
  const { sender, route, sink, calls } = open(t, { answers: call => (call <= 2 ? -Errno.EINVAL : undefined) })
  const batch = batchOf(4, 1_000)
  batch.vec[1] -= 900
  batch.length -= 900
  sender.add(route, batch)
  const next = batchOf(2, 50)
  next.memory = batch.memory
  sender.add(route, next)
  sender.flush()
  t.same(await sizes(sink), [1_000, 1_000, 1_000, 100, 50, 50])
  t.same(calls, [2, 2, 4, 1])
})

t.test('the report of an earlier datagram: the message was not sent, and is sent again', async t => {
  const { carries, route, lost, calls } = open(t, { answers: call => (call === 1 ? -Errno.ECONNREFUSED : undefined) })
  t.ok(await carries(batchOf(5, 100)))
  t.same(route.notes, [`reported ${Errno.ECONNREFUSED}`])
  t.same(calls, [1, 1])
  t.equal(route.singleFrom, Number.POSITIVE_INFINITY)
  t.equal(lost(), 0)
})

t.test('the report of a path MTU is none of a message that could not be cut', async t => {
  const { carries, route } = open(t, { answers: call => (call === 1 ? -Errno.EMSGSIZE : undefined) })
  t.ok(await carries(batchOf(5, 100)))
  t.same(route.notes, [`reported ${Errno.EMSGSIZE}`])
  t.equal(route.singleFrom, Number.POSITIVE_INFINITY)
})

t.test('a report makes the route lead elsewhere: the message goes there', async t => {
  const { carries, route, sink } = open(t)
  const { socket } = connectedTo(t, closedPort())
  const good = connectedTo(t, sink.port).socket
  route.socket = socket
  t.notOk(await carries(batchOf(1, 100)), 'nobody hears it')
  route.reported = () => {
    route.socket = good
  }
  t.ok(await carries(batchOf(3, 100)))
})

t.test('a real refusal (ICMP on loopback)', async t => {
  const { sender, route, lost } = open(t)
  const nobody = connectedTo(t, closedPort())
  for (let i = 0; i < 3; i++) {
    sender.add(nobody, batchOf(1, 100))
    sender.flush()
  }
  t.same(nobody.notes, Array(2).fill(`reported ${Errno.ECONNREFUSED}`))
  t.same({ lost: lost(), notes: route.notes }, { lost: 0, notes: [] })
})

t.test('a refused route is mended, and what was refused goes the new way', async t => {
  const { sender, route, sink, lost, calls } = open(t, {
    answers: call => (call <= 2 ? -Errno.ENETUNREACH : undefined),
  })
  const old = route.socket
  const { socket } = connectedTo(t, sink.port)
  route.mend = () => {
    route.socket = socket
    return true
  }
  const batch = batchOf(1, 70)
  for (let i = 0; i < 3; i++) sender.add(route, batch)
  sender.flush()
  t.same(route.notes, [`refused ${Errno.ENETUNREACH}`])
  t.same(await sizes(sink), [70, 70, 70])
  t.same(calls, [3, 3, 3])
  t.equal(lost(), 0)
  t.not(route.socket, old)
})

t.test('a route that cannot be mended: lost, counted, and the next message is tried', async t => {
  const { sender, route, sink, lost } = open(t, { answers: call => (call <= 2 ? -Errno.EHOSTUNREACH : undefined) })
  const batch = batchOf(1, 70)
  for (let i = 0; i < 3; i++) sender.add(route, batch)
  sender.flush()
  t.equal(lost(), 1)
  t.same(await sizes(sink), [70, 70])
})

t.test('EINVAL that is about the address, not about cutting: nothing is remembered', async t => {
  const { carries, route, lost } = open(t, { answers: call => (call <= 4 ? -Errno.EINVAL : undefined) })
  route.mend = () => true
  t.ok(await carries(batchOf(6, 200)))
  t.same(route.notes, [`refused ${Errno.EINVAL}`])
  t.equal(route.singleFrom, Number.POSITIVE_INFINITY)
  t.equal(lost(), 0)
})

t.test('a queue that is full', async t => {
  const { sender, route, lost } = open(t, { answers: () => -Errno.EAGAIN })
  sender.add(route, batchOf(6, 200))
  sender.add(route, batchOf(1, 200))
  sender.flush()
  t.equal(lost(), 7)
  t.same(route.notes, [])
})

t.test('an unconnected socket: each route has its own peer and address to send from', async t => {
  const { sender } = open(t)
  const [first, second] = [openSink(t), openSink(t)]
  const fd = native.udpOpen(4, 0)
  t.teardown(() => native.close(fd))
  const socket = { fd, family: 4 } as const
  const batch = batchOf(2, 40)
  const routes = [first, second].map(({ port }) => {
    const route = connectedTo(t, port)
    route.socket = socket
    route.port = port
    route.address = Int32Array.of(0x0100007f, 0, 0, 0)
    // Not an address of this machine.
    route.local = Int32Array.of(0x010200c0, 0, 0, 0)
    route.mend = () => {
      route.local = new Int32Array(4)
      return true
    }
    return route
  })
  for (const route of routes) sender.add(route, batch)
  sender.flush()
  for (const sink of [first, second]) t.same(await sizes(sink), [40, 40])
  // EINVAL or ENETUNREACH, by kernel.
  for (const { notes } of routes) t.match(notes, [/^refused \d+$/])
})
