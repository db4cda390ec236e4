import t, { type Test } from 'tap'
import { ErrorCode } from '../../src/errors.js'
import { Batch } from '../../src/memory/batch.js'
import { counterNames } from '../../src/memory/counters.js'
import type { FlowId } from '../../src/memory/flow-table.js'
import type { ServiceWords } from '../../src/memory/service-counters.js'
import { Span } from '../../src/memory/span.js'
import { Egress } from '../../src/path/egress.js'
import { End, type Report } from '../../src/path/messages.js'
import type { Service, ServiceContext, ServiceFactory, ServiceFlow } from '../../src/workers/service.js'
import { ServiceHost } from '../../src/workers/service-host.js'
import { counting } from '../support/datagrams.js'
import { summary } from '../support/emitted.js'
import { MemoryStack } from '../support/memory-stack.js'
import { localPort, ports, remotePort } from '../support/packets.js'

/** A module whose service is made by the function that comes as its data. */
const module = 'data:text/javascript,export default context => context.data(context)'

/** A host with one service that notes what happens to it: 'opened 0', '0: 100 100 40' (datagrams of flow 0) … */
const open = async (t: Test, overrides: (context: ServiceContext) => Partial<Service> = () => ({})) => {
  const stack = new MemoryStack()
  const { memory } = stack
  const page = stack.memory.counters(0)
  const egress = new Egress(stack.memory, page)
  const reports: Report[] = []
  const notes: string[] = []
  const watched: number[] = []
  const host = new ServiceHost({
    queue: 0,
    queues: 3,
    memory,
    counters: page,
    egress,
    loop: {
      now: 123,
      tryWatch: fd => watched.push(fd) && 0,
      unwatch: fd => watched.splice(watched.indexOf(fd), 1),
      every: ms => notes.push(`every ${ms}`),
      after: ms => notes.push(`after ${ms}`),
    },
    report: report => reports.push(report),
  })
  t.teardown(() => {
    egress.close()
    stack.close()
  })
  let context!: ServiceContext
  const seen: ServiceFlow[] = []
  /** The flow's place in `seen`: flow n has the remote port n more than the first. */
  const slotOf = (flow: ServiceFlow) => (flow as ServiceFlow & FlowId).slot
  const factory: ServiceFactory = given => {
    context = given
    return {
      opened: flow => {
        seen[slotOf(flow)] = flow
        notes.push(`opened ${slotOf(flow)}`)
      },
      received: (flow, batch) => {
        const datagrams = [...batch]
        for (const datagram of datagrams) {
          if (datagram.some((byte, i) => byte !== ((datagram.byteOffset + i) & 0xff))) notes.push('wrong bytes')
        }
        notes.push(`${slotOf(flow)}: ${datagrams.map(({ length }) => length).join(' ')}`)
      },
      closed: (flow, reason) => notes.push(`closed ${slotOf(flow)} ${reason}`),
      settle: () => notes.push('settle'),
      stop: () => notes.push('stop'),
      ...overrides(given),
    }
  }
  const counters: ServiceWords = new Map([
    ['requests', counterNames.length],
    ['refusals', counterNames.length + 1],
  ])
  await host.serve({ kind: 'serve', id: 0, url: module, data: factory, counters })
  const bytes = Uint8Array.from(counting(70_000))
  return {
    stack,
    flows: memory.flows,
    host,
    reports,
    watched,
    seen,
    context: () => context,
    bytes,
    add: (remote = 1) => stack.add({ service: 0, consumer: 0, token: remote * 10, ports: ports + (remote << 16) }),
    deliver: (flow: FlowId, at: number, length: number, segmentSize = length, from = bytes) =>
      host.deliver(flow, Object.assign(new Span(), { memory: from, bytes: from, at, length, segmentSize })),
    /** What happened since the last look. */
    happened: () => notes.splice(0),
  }
}

t.test('a flow from its opening to its end', async t => {
  const { host, add, deliver, happened, seen } = await open(t)
  const flow = add(5)
  host.opened(flow)
  t.match(seen[0], { ...flow, token: 50, maxDatagram: 1460, open: true, state: undefined })
  t.match(seen[0], { remoteAddress: '192.168.201.1', remotePort: remotePort + 5, localPort })
  host.opened(flow)
  deliver(flow, 7, 100)
  t.strictSame(happened(), ['opened 0'], 'once; datagrams wait for more of their kind')
  host.settle()
  host.closed({ ...flow, generation: flow.generation + 2 }, 'reset')
  t.ok(seen[0].open, 'not this connection')
  host.closed(flow, 'reset')
  t.notOk(seen[0].open)
  host.closed(flow, 'reset')
  host.stop()
  t.strictSame(happened(), ['0: 100', 'settle', 'closed 0 reset', 'stop'])
})

t.test('first datagrams may overtake the word that the flow exists', async t => {
  const { host, add, deliver, happened } = await open(t)
  const flow = add()
  deliver(flow, 0, 10)
  host.settle()
  host.opened(flow)
  t.strictSame(happened(), ['opened 0', '0: 10', 'settle'])
})

t.test('datagrams of one flow gather, their order stays', async t => {
  const { host, add, deliver, happened } = await open(t)
  const [a, b] = [add(1), add(2)]
  deliver(a, 0, 100)
  deliver(a, 300, 250, 100)
  deliver(a, 900, 100)
  deliver(b, 2000, 7)
  deliver(a, 1200, 30)
  deliver(a, 1300, 31)
  host.settle()
  host.settle()
  t.strictSame(happened(), [
    'opened 0',
    '0: 100 100 100 50',
    'opened 1',
    '0: 100',
    '1: 7',
    '0: 30',
    '0: 31',
    'settle',
    'settle',
  ])
})

t.test('pieces of different memory do not mix', async t => {
  const { host, add, deliver, happened } = await open(t)
  const flow = add()
  deliver(flow, 0, 10)
  deliver(flow, 10, 10, 10, Uint8Array.from(counting(100)))
  host.settle()
  t.strictSame(happened(), ['opened 0', '0: 10', '0: 10', 'settle'])
})

t.test('datagrams of nobody are counted', async t => {
  const { stack, add, deliver, happened } = await open(t)
  const flow = add()
  stack.end(flow)
  deliver(flow, 0, 350, 100)
  t.strictSame(stack.raised(), { flowGone: 4 }, 'each of them')
  const socket = stack.add({ service: -1, ports: 99 << 16 })
  deliver(socket, 0, 10)
  const unserved = stack.add({ service: 3, ports: 98 << 16 })
  deliver(unserved, 0, 10)
  t.strictSame(stack.raised(), { flowGone: 2 })
  t.strictSame(happened(), [])
})

t.test('a slot with another connection: the old one ends first', async t => {
  const { stack, flows, host, add, deliver, happened } = await open(t)
  const flow = add()
  host.opened(flow)
  stack.end(flow)
  const generation = flows.publish(flow.slot)
  deliver({ slot: flow.slot, generation }, 0, 10)
  host.settle()
  host.closed(flow, 'timeout')
  t.strictSame(
    happened(),
    ['opened 0', 'closed 0 reset', 'opened 0', '0: 10', 'settle'],
    'a late purge changes nothing',
  )
})

t.test('a connection that the service closed stays closed, whatever still comes', async t => {
  const { stack, host, add, deliver, happened, seen, reports } = await open(t)
  const flow = add()
  host.opened(flow)
  seen[0].close('timeout')
  seen[0].close()
  t.strictSame(reports, [{ kind: 'close', ...flow, end: End.timeout }], 'told once')
  t.strictSame(happened(), ['opened 0', 'closed 0 timeout'], 'closed follows at once')
  // The coordinator has not ended it yet.
  deliver(flow, 0, 200, 100)
  host.opened(flow)
  host.settle()
  t.strictSame(happened(), ['settle'])
  t.strictSame(stack.raised(), { flowGone: 2 })
  t.equal(seen[0].sendBatch(new Uint8Array(10), 5), 0)
  host.closed(flow, 'timeout')
  t.strictSame(happened(), [])
})

t.test('a service may close a connection as soon as it opens', async t => {
  const { stack, host, add, deliver, happened, reports } = await open(t, () => ({
    opened: flow => flow.close(),
  }))
  const flow = add()
  for (let at = 0; at < 300; at += 100) deliver(flow, at, 100)
  host.settle()
  t.equal(reports.length, 1)
  t.strictSame(happened(), ['closed 0 local', 'settle'])
  t.strictSame(stack.raised(), { flowGone: 3 })
})

t.test('what a service can do', async t => {
  const { stack, host, add, happened, context, seen, reports, watched } = await open(t)
  const given = context()
  t.match(given, { queue: 0, queues: 3 })
  t.equal(given.now(), 123)
  given.every(50, () => {})
  given.after(60, () => {})
  t.equal(
    given.onReadable(9, () => true),
    0,
  )
  t.strictSame([watched, happened()], [[9], ['every 50', 'after 60']])
  given.offReadable(9)
  t.strictSame(watched, [])

  const [four, sixth] = [Uint8Array.of(0xc0, 0, 2, 1), Uint8Array.from([0, ...counting(16, 0xf0)]).subarray(1)]
  given.connect(7, [four], 80)
  given.connect(8, [sixth, four], 81)
  given.log('warn', 'test:said', 'text', { a: 1 })
  const text = { kind: 'log', level: 'warn', text: 'text', fields: { a: 1, event: 'test:said' } }
  const target4 = { family: 4, r0: 0xc0000201 | 0, r1: 0, r2: 0, r3: 0 }
  const target6 = { family: 6, r0: 0xf0f1f2f3 | 0, r1: 0xf4f5f6f7 | 0, r2: 0xf8f9fafb | 0, r3: 0xfcfdfeff | 0 }
  t.strictSame(reports.splice(0), [
    { kind: 'connect', service: 0, token: 7, port: 80, targets: [target4] },
    { kind: 'connect', service: 0, token: 8, port: 81, targets: [target6, target4] },
    text,
  ])
  given.count('requests')
  given.count('refusals', 5)
  given.count('refusals', 2)
  t.strictSame([...stack.memory.counters(0).subarray(counterNames.length)].slice(0, 3), [1, 7, 0])
  for (const name of ['flowGone', 'toString']) {
    const message = new RegExp(`has declared no counter ${name}: pass it to Stack.serve`)
    t.throws(() => given.count(name), { code: ErrorCode.INVALID_ARGUMENT, message })
  }
  t.strictSame(stack.raised(), {}, 'none of the stack’s own')

  const flow = add(0)
  host.opened(flow)
  const bytes = Uint8Array.from(counting(600))
  const batch = new Batch(4)
  batch.reset(bytes, bytes, seen[0].maxPayload)
  for (const [at, length] of [
    [10, 100],
    [500, 50],
  ]) {
    batch.add({ at, length, segmentSize: 100 })
  }
  t.equal(seen[0].send(batch), 2)
  t.strictSame(stack.emitted().map(summary), ['ACK 1000 5000 +100', 'ACK 1100 5000 +50'])
  t.equal(seen[0].sendBatch(bytes.subarray(0, 250), 100), 3)
  t.equal(seen[0].send(bytes.subarray(0, 7)), 1)
  t.strictSame(stack.emitted().map(summary), [
    'ACK 1150 5000 +100',
    'ACK 1250 5000 +100',
    'ACK 1350 5000 +50',
    'ACK 1400 5000 +7',
  ])
  for (const size of [0, 1461, 1.5]) {
    t.throws(() => seen[0].sendBatch(bytes, size), { code: ErrorCode.DATAGRAM_SIZE })
  }
  seen[0].close()
  t.strictSame(reports.splice(0), [{ kind: 'close', slot: 0, generation: flow.generation, end: End.local }])
  t.equal(seen[0].send(bytes.subarray(0, 7)), 0, 'closed')
  t.equal(seen[0].send(batch), 0)
  batch.close()
})

t.test('failures reach whoever asked', async t => {
  const failed: unknown[] = []
  const { host } = await open(t, () => ({ connectFailed: (token, error) => failed.push(token, error.code) }))
  host.connectFailed(0, 7, { code: 'ERR_FAKE_TCP_CONNECT_TIMEOUT', message: '' })
  host.connectFailed(5, 8, { code: 'x', message: 'no such service' })
  t.strictSame(failed, [7, 'ERR_FAKE_TCP_CONNECT_TIMEOUT'])
  const order = { kind: 'serve', id: 1, counters: new Map() } as const
  const url = 'data:text/javascript,throw new RangeError("at load")'
  await t.rejects(host.serve({ ...order, url, data: undefined }), /at load/)
  const failing = () => Promise.reject(new Error('at start'))
  await t.rejects(host.serve({ ...order, url: module, data: failing }), /at start/)
  host.settle()
  host.stop()
})
