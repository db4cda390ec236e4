import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { type Attempt, Handshakes } from '../../src/engine/handshakes.js'
import { ErrorCode, FakeTcpError } from '../../src/errors.js'

/** Time passes only by `mock.timers.tick`. */
const open = (t: Test) => {
  mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const handshakes = new Handshakes()
  return {
    handshakes,
    pass: (ms: number) => mock.timers.tick(ms),
    /** An attempt, and what becomes of it: 'syn' for each SYN, then the code of its end. */
    begin(slot: number, fields: Partial<Attempt> = {}): string[] {
      const notes: string[] = []
      handshakes.begin({
        slot,
        generation: 2,
        target: '192.0.2.1:80',
        timeout: 2_500,
        syn: () => notes.push('syn'),
        done: error => notes.push(error === undefined ? 'answered' : error.code),
        ...fields,
      })
      return notes
    },
  }
}
const flow = (slot: number, generation = 2) => ({ slot, generation })

t.test('a SYN at once, then one each second until there is an answer', async t => {
  const { handshakes, begin, pass } = open(t)
  const notes = begin(1)
  t.strictSame(notes, ['syn'])
  pass(999)
  t.strictSame(notes, ['syn'])
  pass(1)
  t.strictSame(notes, ['syn', 'syn'])
  t.ok(handshakes.answered(flow(1)))
  pass(10_000)
  t.strictSame(notes, ['syn', 'syn', 'answered'], 'neither a SYN nor a timeout after that')
  t.notOk(handshakes.answered(flow(1)), 'once')
})

t.test('nobody answers', async t => {
  const { handshakes, begin, pass } = open(t)
  let message = ''
  const notes = begin(1, { timeout: 1_500, done: error => (message = error?.message ?? '') })
  pass(1_499)
  t.equal(message, '')
  pass(1)
  t.equal(message, '192.0.2.1:80 did not answer within 1500 ms.')
  t.strictSame(notes, ['syn', 'syn'])
  t.notOk(handshakes.answered(flow(1)), 'an answer comes too late')
})

t.test('a refusal', async t => {
  const { handshakes, begin } = open(t)
  const notes = begin(1)
  t.ok(handshakes.refused(flow(1)))
  t.strictSame(notes, ['syn', ErrorCode.CONNECT_REFUSED])
  t.notOk(handshakes.refused(flow(1)))
  t.notOk(handshakes.refused(flow(7)), 'no such attempt')
})

t.test('what another connection of the slot is told does not count', async t => {
  const { handshakes, begin } = open(t)
  const notes = begin(1)
  t.notOk(handshakes.answered(flow(1, 4)))
  t.notOk(handshakes.refused(flow(1, 0)))
  t.strictSame(notes, ['syn'])
  t.ok(handshakes.answered(flow(1)))
})

t.test('whoever asked gives up', async t => {
  const { handshakes, begin, pass } = open(t)
  const controller = new AbortController()
  const notes = begin(1, { signal: controller.signal })
  controller.abort()
  t.equal(notes.length, 2)
  pass(10_000)
  t.equal(notes.length, 2)
  t.notOk(handshakes.answered(flow(1)))

  const late = new AbortController()
  const answered = begin(2, { signal: late.signal })
  handshakes.answered(flow(2))
  late.abort()
  t.strictSame(answered, ['syn', 'answered'], 'too late to give up')
})

t.test('a stack that closes abandons all, and an end may begin another attempt', async t => {
  const { handshakes, begin } = open(t)
  const notes = [begin(1), begin(2)]
  let again: string[] = []
  begin(3, {
    done: () => {
      again = begin(3, { generation: 4 })
    },
  })
  handshakes.abandonAll(() => new FakeTcpError(ErrorCode.CLOSED, 'The stack closes.'))
  for (const note of notes) t.strictSame(note, ['syn', ErrorCode.CLOSED])
  t.strictSame(again, ['syn'], 'it waits')
  t.ok(handshakes.answered(flow(3, 4)))
})
