import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { native, Ready } from '../../src/native.js'
import { failure, openDescriptors, openPair, readPacket, sharedArena } from '../support/native.js'

const EINVAL = failure('EINVAL')
const scenarios = new URL('poller.scenarios.js', import.meta.url)

/** A poller that notes its events. */
const open = (t: Test, capacity = 8) => {
  const { arena, words } = sharedArena(1024)
  const turns: [token: number, events: number][][] = []
  const poller = new native.Poller(arena, capacity, count => {
    turns.push(Array.from({ length: count }, (_, i) => [words[2 * i], words[2 * i + 1]]))
  })
  t.teardown(() => poller.close())
  return { poller, turns }
}

const turnsOfTheLoop = async (count = 3) => {
  for (let i = 0; i < count; i++) await turn()
}

t.test('readiness', async t => {
  const { poller, turns } = open(t)
  const fd = native.eventOpen()
  t.equal(poller.add(fd, -7, Ready.read), 0)
  t.equal(poller.add(fd, 1, Ready.read), failure('EEXIST'))
  await turnsOfTheLoop()
  t.same(turns, [])
  native.eventRing(fd)
  await turnsOfTheLoop()
  t.ok(turns.length >= 2, 'again and again until it is drained')
  for (const events of turns) t.same(events, [[-7, Ready.read]])
  native.eventDrain(fd)
  await turnsOfTheLoop()
  turns.length = 0
  await turnsOfTheLoop()
  t.same(turns, [])

  t.equal(poller.modify(fd, 8, Ready.read | Ready.write), 0)
  await turnsOfTheLoop()
  t.same(turns[0], [[8, Ready.write]])
  t.equal(poller.modify(fd, 8, 0), 0)
  await turnsOfTheLoop()
  turns.length = 0
  await turnsOfTheLoop()
  t.same(turns, [], 'no interest')
  t.equal(poller.remove(fd), 0)
  t.equal(poller.remove(fd), failure('ENOENT'))
  t.equal(poller.modify(fd, 8, 0), failure('ENOENT'))
  t.equal(poller.add(-1, 8, 1), failure('EBADF'))
  t.equal(poller.add(fd, 8, 2), EINVAL, 'no such interest')
  t.equal(poller.add('x' as unknown as number, 8, 1), EINVAL)
  t.equal(poller.add(fd, 2 ** 31, 1), EINVAL)
  t.equal((poller.add as () => number)(), EINVAL)
  native.close(fd)
})

t.test('the other end of a pair', async t => {
  const { poller, turns } = open(t)
  const [left, right] = openPair()
  t.equal(poller.add(left, 1, Ready.read), 0)
  native.write(right, Uint8Array.of(1), 0, 1)
  await turnsOfTheLoop()
  t.same(turns[0], [[1, Ready.read]])
  readPacket(left)
  await turnsOfTheLoop()
  turns.length = 0
  native.close(right)
  await turnsOfTheLoop()
  t.ok(turns[0][0][1] & Ready.gone)
  native.close(left)
})

t.test('capacity', async t => {
  const { poller, turns } = open(t, 2)
  const events = Array.from({ length: 5 }, () => native.eventOpen())
  for (const [token, fd] of events.entries()) {
    poller.add(fd, token, Ready.read)
    native.eventRing(fd)
  }
  await turnsOfTheLoop(10)
  for (const events of turns) t.ok(events.length === 2)
  t.same(new Set(turns.flat().map(([token]) => token)), new Set([0, 1, 2, 3, 4]), 'everybody has a turn')
  for (const fd of events) native.close(fd)
})

t.test('remove and close from within', async t => {
  const before = openDescriptors()
  const { arena } = sharedArena(64)
  const fd = native.eventOpen()
  native.eventRing(fd)
  let calls = 0
  const removing = new native.Poller(arena, 8, () => {
    calls++
    t.equal(removing.remove(fd), 0)
  })
  removing.add(fd, 1, Ready.read)
  await turnsOfTheLoop(5)
  t.equal(calls, 1)
  removing.close()

  const closing = new native.Poller(arena, 8, () => {
    calls++
    closing.close()
    closing.close()
    t.equal(closing.remove(fd), failure('EBADF'))
  })
  closing.add(fd, 1, Ready.read)
  await turnsOfTheLoop(5)
  t.equal(calls, 2)
  closing.ref()
  closing.unref()
  closing.close()
  t.equal(closing.add(fd, 1, Ready.read), failure('EBADF'))
  native.close(fd)
  t.equal(openDescriptors(), before)
})

t.test('microtasks and ticks run before the next turn', async t => {
  const { arena } = sharedArena(64)
  const fd = native.eventOpen()
  native.eventRing(fd)
  const order: string[] = []
  const poller = new native.Poller(arena, 8, () => {
    order.push('ready')
    process.nextTick(() => order.push('tick'))
    queueMicrotask(() => order.push('microtask'))
    if (order.length > 3) poller.close()
  })
  poller.add(fd, 1, Ready.read)
  await turnsOfTheLoop(5)
  t.same(order, ['ready', 'tick', 'microtask', 'ready', 'tick', 'microtask'])
  native.close(fd)
})

t.test('construction', async t => {
  const { arena } = sharedArena(64)
  const Poller = native.Poller as unknown as { new (...args: unknown[]): unknown; prototype: { close(): void } }
  const nothing = () => {}
  t.throws(() => new Poller(), TypeError)
  t.throws(() => new Poller(arena, 8), TypeError)
  t.throws(() => new Poller(new Int32Array(16), 8, nothing), TypeError)
  t.throws(() => new Poller(arena, 9, nothing), RangeError)
  t.throws(() => new Poller(arena, 0, nothing), RangeError)
  t.throws(() => new Poller(12345, 1, nothing), RangeError)
  t.throws(() => (Poller as unknown as () => void)(), TypeError)
  t.throws(() => Poller.prototype.close.call({}), TypeError)
})

const runScenario = async (name: string) => {
  const child = spawn(process.execPath, ['--expose-gc', fileURLToPath(scenarios), name])
  let output = ''
  child.stdout.on('data', data => (output += data))
  child.stderr.on('data', data => (output += data))
  const [code, signal] = await once(child, 'close')
  return { code, signal, output: output.trim() }
}

for (const [name, what, output = ''] of [
  [
    'exception',
    'an exception is an uncaughtException',
    'caught thrown in onReady\ncaught thrown in a tick\nstill polling',
  ],
  ['uncaught', 'which ends the process'],
  ['closedArena', 'a closed vec is an error', 'caught Poller: its vec arena was closed'],
  ['collected', 'a poller without references stays until it is closed', 'ready\ncollected'],
  ['unref', 'an unreferenced poller lets the process end'],
  ['exit', 'exit with an open poller'],
  ['exitWithin', 'exit from within onReady'],
]) {
  t.test(`process: ${what}`, async t => {
    const result = await runScenario(name)
    t.equal(result.signal, null, result.output)
    if (name === 'uncaught') {
      t.match(result, { code: 1, output: /Error: thrown in onReady/ })
    } else {
      t.match(result, { code: 0, output })
    }
  })
}

const runWorker = async (name: string) => {
  const worker = new Worker(scenarios, { argv: [name] })
  const errors: Error[] = []
  worker.on('error', error => errors.push(error))
  const ended = new Promise(resolve => worker.on('exit', resolve))
  if (name === 'idle' || name === 'busy') {
    await once(worker, 'message')
    await worker.terminate()
  }
  await ended
  return errors
}

t.test('workers end with pollers and descriptors open', async t => {
  await runWorker('idle')
  const before = openDescriptors()
  for (const name of ['idle', 'busy', 'exit', 'exitWithin', 'unref']) {
    for (let i = 0; i < 5; i++) t.same(await runWorker(name), [], name)
    t.equal(openDescriptors(), before, `${name}: descriptors are closed`)
  }
  t.match(await runWorker('uncaught'), [{ message: 'thrown in onReady' }])
  t.equal(openDescriptors(), before)
})
