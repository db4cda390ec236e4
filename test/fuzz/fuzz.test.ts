/** The corpus once through, a little fuzzing, and whether the oracle would notice. Hours of it: `npm run fuzz`. */
import t from 'tap'
import type { Packet } from '../../src/path/packet.js'
import { Classifier } from '../../src/path/segment.js'
import type { MemoryStack } from '../support/memory-stack.js'
import { frame } from '../support/packets.js'
import { Fuzzer, shorten } from './fuzzer.js'
import { format, parse } from './input.js'
import { seeds } from './seeds.js'
import { Finding, Subject } from './subject.js'

t.test('seeds and corpus, and some thousand changes of them', async t => {
  const fuzzer = new Fuzzer(1)
  t.teardown(() => fuzzer.close())
  let batches = 0
  const { failure, runs, kept } = fuzzer.run(seeds(), () => batches++ < 100)
  t.equal(failure?.error.message, undefined, failure ? format(failure.input) : 'nothing that cannot be explained')
  t.ok(runs > 3_000)
  t.ok(kept.length > 20, 'it finds what the seeds do not show')
})

/** Believes every checksum. */
class Credulous extends Classifier {
  override parse(packet: Packet): number {
    packet.sum = 0xffff
    return super.parse(packet)
  }
}
const classifier = (stack: MemoryStack) => new Credulous(stack.shared)

t.test('the oracle notices a parser that believes too much, and the input is made short', async t => {
  const fuzzer = new Fuzzer(2, { classifier })
  t.teardown(() => fuzzer.close())
  let batches = 0
  const { failure } = fuzzer.run(seeds(), () => batches++ < 100)
  t.ok(failure?.error instanceof Finding, failure?.error.message ?? 'it noticed nothing')
  if (failure === undefined) return
  const short = shorten(failure.input, { classifier })
  t.equal(short.steps.length, 1)
})

t.test('inputs as text', async t => {
  for (const input of seeds()) t.strictSame(parse(format(input)), input)
  t.throws(() => parse('packet 00\nnonsense 1'), /not a step: nonsense 1/)
  t.strictSame(parse('# said\nvirtio 10\nwait 5\nanswer '), {
    virtioSize: 10,
    steps: [
      { kind: 'wait', ms: 5 },
      { kind: 'answer', bytes: [] },
    ],
  })
})

t.test('the same input, the same story', async t => {
  const steps = [{ kind: 'packet', bytes: [...frame({ seq: 5000, ack: 1000, payload: [1] })] }] as const
  const stories = [1, 2].map(() => {
    const subject = new Subject(0)
    const story = subject.run(steps)
    subject.close()
    return story
  })
  t.equal(stories[0], stories[1])
  t.match(stories[0], 'datagramsIn')
})
