import { spawnSync } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import t from 'tap'
import { Watchdog } from '../../src/engine/watchdog.js'
import { native } from '../../src/native.js'

const own = Number(basename(readlinkSync('/proc/thread-self')))

/** A watchdog of this thread with a limit of 400 ms; `at` is a tick under a clock of the test's own. */
const open = (thread: number | undefined = own) => {
  const beats = new Int32Array(new SharedArrayBuffer(4))
  const stuck: string[] = []
  const start = native.clock()
  const watchdog = new Watchdog(beats, 400, {
    thread: () => thread,
    stuck: (queue, how) => stuck.push(`${queue} ${how}`),
  })
  const at = (ms: number) => {
    watchdog.tick(start + ms)
    return stuck.splice(0)
  }
  const beat = (ms: number) => Atomics.store(beats, 0, (start + ms) | 0)
  return { at, beat, beats }
}

/** Processor time of this thread, in ms. */
const burn = (ms: number) => {
  const start = process.cpuUsage()
  for (let used = 0; used < ms * 1_000; ) {
    const { user, system } = process.cpuUsage(start)
    used = user + system
  }
}

t.test('busy and not back: stuck', async t => {
  const { at, beat } = open()
  beat(0)
  t.same([at(100), at(250)], [[], []])
  burn(200)
  t.same(at(350), [], 'not yet')
  t.match(at(450), [/^0 was busy for 45\d ms/])
  t.same(at(550), [], 'once')
})

t.test('not back, but without processor time: the machine is busy with others', async t => {
  const { at, beat } = open()
  beat(0)
  // This thread runs whenever it looks at itself.
  t.same([at(250), at(450), at(650), at(1_000)], [[], [], [], []])
})

t.test('back in time', async t => {
  const { at, beat } = open()
  for (let now = 0; now < 2_000; now += 250) {
    beat(now)
    t.same(at(now + 240), [])
    burn(120)
  }
})

t.test('we stood still ourselves', async t => {
  const { at, beat } = open()
  beat(0)
  at(100)
  burn(200)
  t.same(at(60_000), [], 'a first look after a long time tells nothing')
  t.same(at(60_100), [])
  beat(60_150)
  t.same(at(60_250), [])
})

t.test('not to be watched', async t => {
  const { at } = open()
  burn(200)
  t.same([at(300), at(600), at(900)], [[], [], []], 'no beat yet, or a pause')
  const { at: atNobody, beat } = open(undefined)
  beat(0)
  t.same([atNobody(300), atNobody(600)], [[], []])
  const { at: atGone, beat: beatGone } = open(2 ** 30)
  beatGone(0)
  t.same([atGone(300), atGone(600), atGone(900)], [[], [], []], 'the thread has ended')
})

t.test('under a debugger nobody is stuck', async t => {
  const script = `
    const { open, url } = await import('node:inspector')
    open(0)
    const { Watchdog } = await import(${JSON.stringify(new URL('../../src/engine/watchdog.js', import.meta.url).href)})
    const beats = new Int32Array(new SharedArrayBuffer(4)).fill(1)
    const thread = Number((await import('node:fs')).readlinkSync('/proc/thread-self').split('/').pop())
    let stuck = 0
    const watchdog = new Watchdog(beats, 400, { thread: () => thread, stuck: () => stuck++ })
    for (let now = 300; now < 2000; now += 100) {
      watchdog.tick(now)
      for (const end = performance.now() + 60; performance.now() < end; );
    }
    process.exit(url() === undefined ? 2 : stuck)`
  t.equal(spawnSync(process.execPath, ['--input-type=module', '-e', script]).status, 0)
})
