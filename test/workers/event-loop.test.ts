import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { ErrorCode } from '../../src/errors.js'
import { native } from '../../src/native.js'
import { EventLoop } from '../../src/workers/event-loop.js'
import { Heartbeat } from '../../src/workers/heartbeat.js'
import { failure } from '../support/native.js'

/** Ten minutes in microseconds: no tick of such a coalescer comes while a test runs. */
const noTick = 600_000_000

const open = (t: Test, coalesceUs = 0) => {
  const beats = new SharedArrayBuffer(4)
  const loop = new EventLoop(new Heartbeat(beats, 0), coalesceUs)
  t.teardown(() => loop.close())
  return { loop, beat: new Int32Array(beats) }
}

/** An eventfd as a descriptor that brings something when it is rung. Closes with the test. */
class Source {
  readonly fd = native.eventOpen()
  /** What each call of `read` found: how often it had been rung since the one before. */
  readonly found: number[] = []
  /** Dispatches 'read' after each of those calls. */
  readonly events = new EventTarget()

  constructor(t: Test) {
    t.teardown(() => native.close(this.fd))
  }

  ring(): void {
    native.eventRing(this.fd)
  }

  readonly read = (): boolean => {
    const count = native.eventDrain(this.fd)
    this.found.push(count)
    this.events.dispatchEvent(new Event('read'))
    return count > 0
  }

  nextRead(): Promise<unknown> {
    return once(this.events, 'read')
  }
}

/** Returns once the clock shows another time. */
const letClockMove = (): void => {
  for (const before = native.clock(); native.clock() === before; );
}

t.test('the time of a turn is taken when the turn begins, and the watchdog is told', async t => {
  const { loop, beat } = open(t)
  loop.turn()
  const before = loop.now
  letClockMove()
  t.equal(loop.now, before, 'it does not move within a turn')
  loop.turn()
  t.ok(loop.now > before)
  t.equal(beat[0], loop.now | 0)
})

t.test('a wake begins one turn, for all descriptors that it reports', async t => {
  const { loop, beat } = open(t)
  const [first, second] = [new Source(t), new Source(t)]
  const times: number[] = []
  for (const { fd, read } of [first, second]) {
    loop.watch(fd, () => {
      times.push(loop.now)
      letClockMove()
      return read()
    })
  }
  const before = loop.now
  letClockMove()
  first.ring()
  second.ring()
  await Promise.all([first.nextRead(), second.nextRead()])
  t.equal(times.length, 2)
  t.equal(times[0], times[1])
  t.ok(times[0] > before)
  t.equal(beat[0], times[0] | 0)
})

t.test('a timer begins a turn', async t => {
  const { loop, beat } = open(t)
  for (const kind of ['after', 'every'] as const) {
    const before = loop.now
    letClockMove()
    beat[0] = 0
    const seen = await new Promise<number>(resolve => loop[kind](1, () => resolve(loop.now)))
    t.ok(seen > before, kind)
    t.not(beat[0], 0, kind)
  }
})

t.test('`after` acts once, and says what time it is', async t => {
  const { loop } = open(t)
  const times: number[] = []
  loop.after(1, now => times.push(now))
  let ticks = 0
  await new Promise<void>(resolve => loop.every(1, () => ++ticks === 3 && resolve()))
  t.equal(times.length, 1)
  t.ok(times[0] <= loop.now)
})

t.test('close ends every timer', async t => {
  const { loop } = open(t)
  loop.every(1, () => t.fail('every'))
  loop.after(1, () => t.fail('after'))
  loop.close()
  // Timers of the same length end in the order in which they began.
  await new Promise(resolve => setTimeout(resolve, 1))
  t.pass()
})

t.test('a descriptor that another one gives up in the same wake is not read', async t => {
  const { loop } = open(t)
  const sources = [new Source(t), new Source(t)]
  for (const [i, { fd, read }] of sources.entries()) {
    loop.watch(fd, () => {
      loop.unwatch(sources[1 - i].fd)
      return read()
    })
  }
  for (const source of sources) source.ring()
  await Promise.race(sources.map(source => source.nextRead()))
  // The one that was read is still watched: its next wake comes after the whole of the first one.
  const read = sources.find(({ found }) => found.length > 0)!
  read.ring()
  await read.nextRead()
  t.strictSame(sources.map(({ found }) => found).sort(), [[], [1, 1]])
})

t.test(
  'a descriptor that takes over the number of one that was closed in the same wake is not read for it',
  async t => {
    const { loop } = open(t)
    const bells = [native.eventOpen(), native.eventOpen()]
    t.teardown(() => {
      for (const fd of bells) native.close(fd)
    })
    let done!: () => void
    const replaced = new Promise<void>(resolve => {
      done = resolve
    })
    const replaceOther = (i: number) => () => {
      native.eventDrain(bells[i])
      const other = bells[1 - i]
      loop.unwatch(other)
      native.close(other)
      bells[1 - i] = native.eventOpen()
      t.equal(bells[1 - i], other, 'the number is used again')
      loop.watchBell(bells[1 - i], () => t.fail('nobody rang this one'))
      done()
    }
    for (const [i, fd] of bells.entries()) loop.watchBell(fd, replaceOther(i))
    for (const fd of bells) native.eventRing(fd)
    await replaced
    const later = new Source(t)
    loop.watchBell(later.fd, later.read)
    later.ring()
    await later.nextRead()
  },
)

t.test('what a watched descriptor brings next waits for a tick; a bell never waits', async t => {
  const { loop } = open(t, noTick)
  const [source, bell] = [new Source(t), new Source(t)]
  loop.watch(source.fd, source.read)
  loop.watchBell(bell.fd, bell.read)
  source.ring()
  await source.nextRead()
  for (let i = 1; i <= 3; i++) {
    source.ring()
    bell.ring()
    await bell.nextRead()
    t.strictSame([source.found, bell.found.length], [[1], i])
  }
})

t.test('a tick reads all that has come since, and a tick that finds nothing ends the waiting', async t => {
  const { loop } = open(t, 1_000)
  const source = new Source(t)
  loop.watch(source.fd, source.read)
  source.ring()
  await source.nextRead()
  // Before the event loop has a turn, so before any tick.
  for (let i = 0; i < 3; i++) source.ring()
  await source.nextRead()
  await source.nextRead()
  t.strictSame(source.found, [1, 3, 0])
  source.ring()
  await source.nextRead()
  t.strictSame(source.found.slice(3), [1], 'it is watched again')
})

t.test('without coalescing nothing waits', async t => {
  const { loop } = open(t)
  const source = new Source(t)
  loop.watch(source.fd, source.read)
  for (let i = 1; i <= 3; i++) {
    source.ring()
    await source.nextRead()
    t.equal(source.found.length, i)
  }
  t.strictSame(source.found, [1, 1, 1])
})

t.test('a descriptor that is given up while it waits for a tick is not read by that tick', async t => {
  const { loop } = open(t, 1_000)
  const [gone, kept] = [new Source(t), new Source(t)]
  loop.watch(gone.fd, gone.read)
  loop.watch(kept.fd, kept.read)
  gone.ring()
  await gone.nextRead()
  loop.unwatch(gone.fd)
  const reads = gone.found.length
  gone.ring()
  kept.ring()
  // By its wake, then by a tick, which would come to the other one first.
  await kept.nextRead()
  await kept.nextRead()
  t.equal(gone.found.length, reads)
})

t.test('a descriptor that gives itself up does not wait for a tick', async t => {
  const { loop } = open(t, 1_000)
  const [gone, kept] = [new Source(t), new Source(t)]
  loop.watch(gone.fd, () => {
    loop.unwatch(gone.fd)
    return gone.read()
  })
  loop.watch(kept.fd, kept.read)
  gone.ring()
  await gone.nextRead()
  gone.ring()
  kept.ring()
  await kept.nextRead()
  await kept.nextRead()
  t.strictSame(gone.found, [1])
})

t.test('what the kernel cannot watch', async t => {
  const { loop } = open(t)
  const file = openSync(fileURLToPath(import.meta.url), 'r')
  t.teardown(() => closeSync(file))
  t.equal(
    loop.tryWatch(file, () => t.fail()),
    failure('EPERM'),
    'a file is always readable',
  )
  t.throws(() => loop.watch(file, () => t.fail()), { code: ErrorCode.DEVICE })
  t.throws(() => loop.watchBell(file, () => t.fail()), { code: ErrorCode.DEVICE })
  loop.unwatch(file)
  const source = new Source(t)
  t.equal(loop.tryWatch(source.fd, source.read), 0)
  source.ring()
  await source.nextRead()
})
