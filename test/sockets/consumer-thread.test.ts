/** A thread that attaches sockets, with the coordinator's part played by hand (engine/transfers.test.ts has both, in real threads). */
import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { BroadcastChannel } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { ErrorCode } from '../../src/errors.js'
import type { FlowId } from '../../src/memory/flow-table.js'
import { Span } from '../../src/memory/span.js'
import { Errno, native } from '../../src/native.js'
import { End } from '../../src/path/messages.js'
import { ConsumerThread } from '../../src/sockets/consumer-thread.js'
import type { Notice, Request, Residue } from '../../src/sockets/transfer-messages.js'
import { NotingSocket } from '../support/held-socket.js'
import { MemoryStack } from '../support/memory-stack.js'
import { ports } from '../support/packets.js'

/** Of a stack with one queue: worker 0, the main thread 1, and two numbers for threads that attach sockets. */
const worker = 0
const firstThread = 2

const residueOf = (length: number): Residue => ({ bytes: new Uint8Array(length), segmentSize: length })

const open = (t: Test, consumers = 2) => {
  const stack = new MemoryStack({ consumers })
  const { memory, shared } = stack
  const channel = new BroadcastChannel(shared.channel)
  const requests: Request[] = []
  const events = new EventTarget()
  /** By thread: a copy of its lifeline, as the coordinator makes one. */
  const lifelines = new Map<number, number>()
  channel.onmessage = message => {
    const request = (message as { data: Request }).data
    if (request.kind === 'attach' && !lifelines.has(request.thread)) {
      lifelines.set(request.thread, native.duplicate(request.lifeline))
    }
    requests.push(request)
    events.dispatchEvent(new Event('request'))
  }
  /** The thread's next request to the coordinator. */
  const request = async (): Promise<Request> => {
    while (requests.length === 0) await once(events, 'request')
    return requests.shift()!
  }
  const tell = (notice: Notice) => channel.postMessage(notice)
  /** Whether a thread has let go of the stack: its end of the lifeline is closed. */
  const hasLeft = (thread: number): boolean => {
    const length = native.read(lifelines.get(thread)!, new Uint8Array(1), 0, 1)
    if (length !== 0 && length !== -Errno.EAGAIN) throw new Error(`lifeline: ${length}`)
    return length === 0
  }
  const closeStack = async (): Promise<void> => {
    for (const thread of lifelines.keys()) {
      tell({ to: thread, kind: 'stackClosed' })
      while (!hasLeft(thread)) await turn()
    }
  }
  t.teardown(async () => {
    await closeStack()
    for (const fd of lifelines.values()) native.close(fd)
    channel.close()
    stack.close()
  })
  let flows = 0
  const sockets: NotingSocket[] = []
  const attach = (flow: FlowId) =>
    ConsumerThread.attach(
      { shared, receiveBytes: 1000, ...flow } as Parameters<typeof ConsumerThread.attach>[0],
      (home, id, address) => {
        const socket = new NotingSocket(home, id, address)
        sockets.push(socket)
        return socket
      },
    )
  return {
    stack,
    sockets,
    attach,
    request,
    tell,
    hasLeft,
    closeStack,
    flow: (): FlowId => stack.add({ ports: ports + (flows++ << 16) }),
    /** A socket that the thread has, and has nothing to do with the test. */
    async attached(flow: FlowId): Promise<NotingSocket> {
      const promise = attach(flow)
      const { thread } = (await request()) as Extract<Request, { kind: 'attach' }>
      tell({ to: thread, kind: 'attached', residue: [], ...flow })
      const socket = await promise
      socket.noted()
      return socket
    },
    /** A worker has put datagrams into the thread's lane, and nobody was woken. */
    put(flow: FlowId, length: number): void {
      const lane = memory.laneTo(firstThread, worker)
      t.ok(lane.put(flow, new Span().over(new Uint8Array(length), length)))
      lane.flush()
      lane.close()
    },
  }
}

t.test('an attached socket first gets what was not read elsewhere', async t => {
  const { sockets, attach, request, tell, flow } = open(t)
  const id = flow()
  let resolved = false
  const promise = attach(id).then(socket => {
    resolved = true
    return socket
  })
  t.match(await request(), { to: 'stack', kind: 'attach', thread: firstThread, ...id })
  t.notOk(resolved, 'the coordinator has not answered')
  tell({ to: firstThread, kind: 'attached', residue: [residueOf(10), residueOf(20)], ...id })
  t.equal(await promise, sockets[0])
  t.match(sockets[0], { ...id, localAddress: '192.168.201.2' })
  t.strictSame(sockets[0].noted(), ['before: 10 20'])
})

t.test('a thread has one number, whatever it attaches', async t => {
  const { attach, request, tell, flow } = open(t, 1)
  const seen: unknown[] = []
  for (const id of [flow(), flow()]) {
    const promise = attach(id)
    const asked = (await request()) as Extract<Request, { kind: 'attach' }>
    seen.push(asked.thread, asked.lifeline)
    tell({ to: asked.thread, kind: 'attached', residue: [], ...id })
    await promise
  }
  t.strictSame(seen.slice(2), seen.slice(0, 2))
})

t.test('a connection that the thread has, or is about to have, is not attached again', async t => {
  const { sockets, attach, attached, request, tell, flow } = open(t)
  const id = flow()
  const first = attach(id)
  await t.rejects(attach(id), { code: ErrorCode.CLOSED })
  await request()
  tell({ to: firstThread, kind: 'attached', residue: [], ...id })
  await first
  await t.rejects(attach(id), { code: ErrorCode.CLOSED })
  t.equal(sockets.length, 1)
  await attached(flow())
})

t.test('a refused connection is closed for whoever asked, and its datagrams are nobody’s', async t => {
  const { stack, attach, attached, request, tell, put, flow } = open(t)
  const [refused, other] = [flow(), flow()]
  const promise = attach(refused)
  await request()
  tell({ to: firstThread, kind: 'refused', ...refused })
  await t.rejects(promise, { code: ErrorCode.CLOSED })
  const socket = await attached(other)
  put(refused, 10)
  tell({ to: firstThread, kind: 'ended', end: End.local, ...other })
  while (socket.notes.length === 0) await turn()
  t.strictSame(stack.raised(firstThread), { flowGone: 1 })
})

t.test('a socket that is taken over gives what it has not read, with all that is still in its lane', async t => {
  const { attached, request, tell, put, flow } = open(t)
  const id = flow()
  const socket = await attached(id)
  socket.unread = [residueOf(30)]
  put(id, 30)
  tell({ to: firstThread, kind: 'surrender', ...id })
  t.strictSame(await request(), { to: 'stack', kind: 'surrendered', residue: socket.unread, ...id })
  t.strictSame(socket.noted(), ['got 30', 'surrender'])
  tell({ to: firstThread, kind: 'surrender', ...id })
  t.strictSame(await request(), { to: 'stack', kind: 'surrendered', residue: [], ...id }, 'it has it no longer')
})

t.test('datagrams that came before the end of a connection are there before it ends', async t => {
  const { attached, tell, put, flow } = open(t)
  const id = flow()
  const socket = await attached(id)
  put(id, 30)
  tell({ to: firstThread, kind: 'ended', end: End.reset, ...id })
  while (socket.notes.length < 2) await turn()
  t.strictSame(socket.noted(), ['got 30', `ended ${End.reset}`])
})

t.test('what is meant for other threads, or for another connection of a slot, is not heeded', async t => {
  const { attached, request, tell, flow } = open(t)
  const id = flow()
  const socket = await attached(id)
  tell({ to: firstThread + 1, kind: 'ended', end: End.reset, ...id })
  tell({ to: firstThread + 1, kind: 'surrender', ...id })
  tell({ to: firstThread, kind: 'ended', end: End.reset, ...id, generation: id.generation + 2 })
  tell({ to: firstThread, kind: 'surrender', ...id })
  t.match(await request(), { kind: 'surrendered' })
  t.strictSame(socket.noted(), ['surrender'])
})

t.test('what a socket asks goes to the coordinator', async t => {
  const { attached, request, flow } = open(t)
  const id = flow()
  const { home, ...rest } = await attached(id)
  home.end(id)
  t.strictSame(await request(), { to: 'stack', kind: 'end', ...id })
  home.offered({ ...rest, ...id } as NotingSocket)
  t.strictSame(await request(), { to: 'stack', kind: 'offer', ...id })
})

t.test('a stack that closes: who waits hears of it, and the coordinator sees that the thread has let go', async t => {
  const { attach, request, hasLeft, closeStack, flow } = open(t)
  const promise = attach(flow())
  await request()
  t.notOk(hasLeft(firstThread))
  const heard = t.rejects(promise, { code: ErrorCode.CLOSED })
  await closeStack()
  await heard
  const again = attach(flow())
  t.match(await request(), { kind: 'attach', thread: firstThread + 1 }, 'a new beginning, with a number of its own')
  const heardAgain = t.rejects(again, { code: ErrorCode.CLOSED })
  await closeStack()
  await heardAgain
})

t.test('without a number left', async t => {
  const { attach, flow } = open(t, 0)
  await t.rejects(attach(flow()), { code: ErrorCode.CONSUMERS_EXHAUSTED })
})
