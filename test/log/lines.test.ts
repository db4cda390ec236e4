import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Lines } from '../../src/log/lines.js'

const { EAGAIN, EBADF, EIO, EMSGSIZE, ENOSPC } = constants.errno
const queueBytes = 256 * 1024

/** A descriptor that takes what the test lets it: `room` bytes, at most `most` at once, then `-error`. */
class Sink {
  room = Number.POSITIVE_INFINITY
  most = Number.POSITIVE_INFINITY
  error: number = EAGAIN
  attempts = 0
  text = ''

  write = (bytes: Uint8Array): number => {
    this.attempts++
    const length = Math.min(this.room, this.most, bytes.length)
    if (length === 0) return -this.error
    this.room -= length
    this.text += Buffer.from(bytes.subarray(0, length)).toString()
    return length
  }
}

const open = (sink: Sink): Lines =>
  new Lines({ write: sink.write, dropped: (lines, errno) => `dropped ${lines} errno ${errno}\n` })

const until = async (test: () => boolean): Promise<void> => {
  for (let i = 0; i < 500 && !test(); i++) await sleep(10)
}

t.test('what can be written is written at once', async t => {
  const sink = new Sink()
  const lines = open(sink)
  lines.write('one\n')
  lines.write('två\n')
  t.equal(sink.text, 'one\ntvå\n')
  t.equal(sink.attempts, 2, 'one write a line')
})

t.test('a line that is taken in pieces stays whole', async t => {
  const sink = new Sink()
  sink.most = 3
  const lines = open(sink)
  lines.write('hello, world\n')
  lines.write('again\n')
  t.equal(sink.text, 'hello, world\nagain\n')
})

for (const error of [EAGAIN, ENOSPC, EIO, EBADF]) {
  t.test(`errno ${error}: what is half written is finished before the next line`, async t => {
    const sink = new Sink()
    sink.error = error
    sink.room = 8
    const lines = open(sink)
    lines.write('hello, world\n')
    lines.write('again\n')
    t.equal(sink.text, 'hello, w')
    sink.room = Number.POSITIVE_INFINITY
    await until(() => sink.text.endsWith('again\n'))
    t.equal(sink.text, 'hello, world\nagain\n', 'nothing was dropped')
  })
}

t.test('while nobody reads: bounded memory, bounded work, and a word about it later', async t => {
  const sink = new Sink()
  sink.room = 0
  const lines = open(sink)
  const line = (i: number) => `${i} `.padEnd(99, '.').concat('\n')
  for (let i = 0; i < 10_000; i++) lines.write(line(i))
  t.equal(sink.attempts, 1, 'nobody was asked again and again')
  sink.room = Number.POSITIVE_INFINITY
  await until(() => sink.text.includes('dropped'))
  const got = sink.text.split('\n').slice(0, -1)
  const kept = Math.floor(queueBytes / 100)
  t.same(
    got.slice(0, kept).map(text => Number.parseInt(text, 10)),
    Array.from({ length: kept }, (_, i) => i),
    'the oldest, in order',
  )
  t.same(got.slice(kept), [`dropped ${10_000 - kept} errno ${EAGAIN}`])
  lines.write('on it goes\n')
  t.match(sink.text, /dropped \d+ errno \d+\non it goes\n$/u)
})

t.test('the word about a gap stands where the gap is', async t => {
  const sink = new Sink()
  sink.room = 0
  const lines = open(sink)
  for (let i = 0; i < 3_000; i++) lines.write('x'.repeat(99).concat('\n'))
  sink.room = queueBytes / 2 + 1_000
  await until(() => sink.room === 0)
  lines.write('after the gap\n')
  sink.room = Number.POSITIVE_INFINITY
  await until(() => sink.text.endsWith('after the gap\n'))
  t.match(sink.text, /x\ndropped \d+ errno \d+\nafter the gap\n$/u)
})

t.test('a line that is larger than the queue', async t => {
  const sink = new Sink()
  sink.most = 4_096
  const lines = open(sink)
  const large = 'x'.repeat(1_000_000).concat('\n')
  lines.write(large)
  t.equal(sink.text, large, 'is written when nothing is in its way')
  sink.text = ''
  sink.room = 0
  lines.write('small\n')
  lines.write(large)
  sink.room = Number.POSITIVE_INFINITY
  await until(() => sink.text.includes('dropped'))
  t.equal(sink.text, `small\ndropped 1 errno ${EAGAIN}\n`, 'and dropped when something waits')
})

t.test('a line that is larger than a message may be', async t => {
  const sink = new Sink()
  const lines = new Lines({
    write: bytes => (bytes.length > 100 ? -EMSGSIZE : sink.write(bytes)),
    dropped: (lines, errno) => `dropped ${lines} errno ${errno}\n`,
  })
  lines.write('x'.repeat(101))
  lines.write('small\n')
  t.equal(sink.text, `dropped 1 errno ${EMSGSIZE}\nsmall\n`)
})

t.test('pauses grow while nothing changes', async t => {
  const sink = new Sink()
  sink.room = 0
  const lines = open(sink)
  lines.write('hello\n')
  await sleep(500)
  t.ok(sink.attempts > 2 && sink.attempts < 12, `${sink.attempts} attempts in half a second`)
})

t.test('the end waits for a slow reader, for a moment', async t => {
  const sink = new Sink()
  sink.room = 0
  const lines = open(sink)
  lines.write('hello\n')
  let start = performance.now()
  lines.finish()
  const took = performance.now() - start
  t.ok(took > 50 && took < 1_000, `${took.toFixed()} ms`)
  sink.error = ENOSPC
  start = performance.now()
  lines.finish()
  t.ok(performance.now() - start < 50, 'and not at all where waiting does not help')
  sink.room = Number.POSITIVE_INFINITY
  lines.finish()
  t.equal(sink.text, 'hello\n')
})

t.test('no word about what was dropped, where nobody wants it', async t => {
  const sink = new Sink()
  const lines = new Lines({ write: sink.write, dropped: () => '' })
  sink.room = 0
  for (let i = 0; i < 5_000; i++) lines.write('x'.repeat(99).concat('\n'))
  sink.room = Number.POSITIVE_INFINITY
  lines.finish()
  t.equal(sink.text.length, Math.floor(queueBytes / 100) * 100)
})
