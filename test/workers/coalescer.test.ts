import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { native, Ready } from '../../src/native.js'
import { Coalescer } from '../../src/workers/coalescer.js'

/** A descriptor that is readable when it was rung, behind a coalescer of `microseconds`. */
const open = (t: Test, microseconds: number) => {
  const events = new Int32Array(16)
  const vec = native.arenaOpen(new Uint8Array(events.buffer))
  const fd = native.eventOpen()
  let polled = 0
  const found: number[] = []
  const read = () => {
    found.push(native.eventDrain(fd))
    return found[found.length - 1] > 0
  }
  const poller = new native.Poller(vec, 8, count => {
    for (let i = 0; i < count; i++) {
      if (events[i * 2] === 1) coalescer.tick()
      else {
        polled++
        read()
        coalescer.wait(fd, 0, read)
      }
    }
  })
  const coalescer = new Coalescer(poller, microseconds)
  poller.add(fd, 0, Ready.read)
  poller.add(coalescer.timer, 1, Ready.read)
  t.teardown(() => {
    poller.close()
    coalescer.close()
    native.close(fd)
    native.arenaClose(vec)
  })
  return {
    coalescer,
    ring: (times: number) => {
      for (let i = 0; i < times; i++) native.eventRing(fd)
    },
    polled: () => polled,
    found: () => found.splice(0),
  }
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(1)
}

t.test('what comes between two ticks is read at once, and an empty tick ends it', async t => {
  const { ring, polled, found } = open(t, 500_000)
  ring(1)
  await until(() => polled() === 1)
  ring(3)
  t.strictSame(found(), [1], 'not read before its tick')
  let seen: number[] = []
  await until(() => {
    seen = seen.concat(found())
    return seen.length === 2
  })
  t.strictSame(seen, [3, 0], 'all three in one tick, then nothing')
  t.equal(polled(), 1)
  ring(2)
  await until(() => polled() === 2)
  t.strictSame(found(), [2], 'and it is polled again')
})

t.test('bad periods', async t => {
  const timer = native.timerOpen()
  t.teardown(() => native.close(timer))
  t.equal(native.timerSet(timer, -1), -22)
  t.equal(native.timerSet(timer, 0), 0)
  t.equal(native.timerSet(timer, 1_500_000), 0)
  t.equal(native.eventDrain(timer), 0, 'not yet')
  t.ok(native.timerSet(-1, 10) < 0)
})

t.test('duplicate: the same open file, owned anew', async t => {
  const fd = native.eventOpen()
  const copy = native.duplicate(fd)
  t.ok(copy > fd)
  native.eventRing(fd)
  t.equal(native.close(fd), 0)
  t.equal(native.eventDrain(copy), 1)
  t.equal(native.close(copy), 0)
  t.equal(native.duplicate(copy), -9, 'EBADF')
})
