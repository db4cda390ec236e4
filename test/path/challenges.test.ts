import t from 'tap'
import { Field } from '../../src/memory/flow-table.js'
import { Challenges } from '../../src/path/challenges.js'
import type { Egress } from '../../src/path/egress.js'
import { Later } from '../support/later.js'
import { MemoryStack } from '../support/memory-stack.js'

const open = (start = 10_000) => {
  const stack = new MemoryStack()
  t.teardown(() => stack.close())
  const sent: string[] = []
  const later = new Later()
  let now = start
  const egress = {
    ack: (slot: number, at: number, back: number) => sent.push(`${slot} at ${at - start}, ${back} back`),
  }
  const challenges = new Challenges(stack.memory.flows, egress as unknown as Egress, (ms, act) =>
    later.add(now + ms, act),
  )
  return {
    challenges,
    sent,
    stack,
    flow: stack.add(),
    now: () => now,
    pass(ms: number): void {
      now = (now + ms) | 0
      later.run(now)
    },
  }
}

t.test('one in half a second, for each flow', async t => {
  const { challenges, sent, stack, flow, now, pass } = open()
  const other = stack.add()
  t.ok(challenges.send(flow.slot, now(), 1))
  t.notOk(challenges.send(flow.slot, now(), 0))
  t.ok(challenges.send(other.slot, now(), 0), 'another flow has a limit of its own')
  pass(499)
  t.notOk(challenges.send(flow.slot, now(), 0))
  pass(1)
  t.ok(challenges.send(flow.slot, now(), 0))
  t.same(sent, [`${flow.slot} at 0, 1 back`, `${other.slot} at 0, 0 back`, `${flow.slot} at 500, 0 back`])
})

t.test('what must be sent is sent late, once', async t => {
  const { challenges, sent, flow, now, pass } = open()
  challenges.send(flow.slot, now(), 0)
  pass(100)
  for (const back of [1, 2, 3]) challenges.sendOrDefer(flow, now(), back)
  pass(399)
  t.equal(sent.length, 1)
  pass(1)
  t.same(sent.slice(1), [`${flow.slot} at 500, 1 back`])
  pass(10_000)
  t.equal(sent.length, 2)
  challenges.sendOrDefer(flow, now(), 4)
  t.equal(sent.length, 3, 'at once, when the limit lets it')
})

t.test('nothing is sent late on a connection that is gone', async t => {
  const { challenges, sent, stack, flow, now, pass } = open()
  challenges.send(flow.slot, now(), 0)
  challenges.sendOrDefer(flow, now(), 0)
  stack.memory.flows.retire(flow.slot)
  pass(500)
  t.equal(sent.length, 1)
})

t.test('a clock that wraps, and one that stands at 0', async t => {
  const { challenges, flow, stack, now, pass } = open(2 ** 31 - 100)
  t.ok(challenges.send(flow.slot, now(), 0))
  pass(200)
  t.notOk(challenges.send(flow.slot, now(), 0))
  pass(300)
  t.ok(challenges.send(flow.slot, now(), 0))
  stack.memory.flows.store(flow.slot, Field.lastChallenge, 0)
  t.ok(challenges.send(flow.slot, 0, 0))
  t.notOk(challenges.send(flow.slot, 1, 0), 'sent at 0 is not the same as never')
})
