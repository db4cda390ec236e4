import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { KeepAlive } from '../../src/engine/keep-alive.js'
import { createVirtualLink, ErrorCode, Stack } from '../../src/index.js'
import { Field, FlowTable, State } from '../../src/memory/flow-table.js'
import { text } from '../support/datagrams.js'
import { ACK, RST } from '../support/packets.js'
import { openRaw } from '../support/raw-peer.js'
import { connectPair, openStacks, take } from '../support/stacks.js'

/** A table of established flows under a clock of the test's own; what happened since the last look: 'probe 0 1', 'dead 3'. */
const open = (slots: number, options = { interval: 100, probes: 3 }) => {
  const flows = FlowTable.allocate(slots)
  for (let slot = 0; slot < slots; slot++) flows.store(slot, Field.state, State.established)
  const happened: string[] = []
  const keepAlive = new KeepAlive(flows, options, {
    probe: (slot, nth) => happened.push(`probe ${slot} ${nth}`),
    dead: ({ slot }) => {
      happened.push(`dead ${slot}`)
      flows.store(slot, Field.state, State.free)
    },
  })
  return {
    heard: (slot: number, now: number) => flows.store(slot, Field.lastSeen, now | 0),
    at: (now: number) => {
      keepAlive.tick(slots, now)
      return happened.splice(0)
    },
  }
}

t.test('three questions, half an interval of patience, the end', async t => {
  const { at } = open(1)
  t.strictSame([at(99), at(100), at(101), at(199)], [[], ['probe 0 1'], [], []])
  t.strictSame([at(200), at(300), at(349)], [['probe 0 2'], ['probe 0 3'], []])
  t.strictSame([at(350), at(1000)], [['dead 0'], []])
})

t.test('any sign of life begins anew', async t => {
  const { at, heard } = open(2)
  at(100)
  at(200)
  heard(0, 250)
  t.strictSame(at(300), ['probe 1 3'])
  t.strictSame(at(350), ['probe 0 1', 'dead 1'])
  heard(0, 351)
  t.strictSame([at(450), at(451)], [[], ['probe 0 1']])
})

t.test('a stack that stood still asks before it gives up', async t => {
  const { at, heard } = open(1)
  t.strictSame(at(60_000), ['probe 0 1'])
  heard(0, 60_001)
  t.strictSame(at(60_050), [])
})

t.test('the clock’s word wraps', async t => {
  const { at, heard } = open(1)
  const late = 2 ** 32 - 50
  heard(0, late)
  at(late)
  t.strictSame([at(late + 99), at(late + 100)], [[], ['probe 0 1']])
})

const keepalive = { interval: 500, probes: 3 }

t.test('a peer that is gone', async t => {
  const { stack, peer } = await openRaw(t, {}, { keepalive })
  const listener = stack.listen(80)
  const flow = await peer.connect(80)
  const socket = await listener.accept()
  flow.data('hello')
  t.equal(text((await take(socket, 1))[0]), 'hello')
  const seen = (await peer.during(2_500)).filter(s => s.payload.length === 0)
  const reset = seen.findIndex(s => s.flags === RST)
  t.ok(reset >= 0, 'it is told, in case it lives')
  // What it acknowledged last is the number of our next byte: nothing was sent.
  const next = seen[reset].seq
  const probes = seen.filter(s => s.flags === ACK && s.seq !== next)
  t.strictSame(
    probes.map(s => next - s.seq),
    [1, 2, 3],
  )
  t.same(await socket.closed, { reason: 'timeout' })
  t.match(stack.stats().total.traffic, { peerDead: 1 })
})

const idle = async (t: Test, ms: number) => {
  const stacks = await openStacks(t, {}, { a: { keepalive }, b: { keepalive } })
  const { client, server } = await connectPair(stacks)
  await sleep(ms)
  client.send(Buffer.from('still here'))
  t.equal(text((await take(server, 1))[0]), 'still here')
  return stacks
}

t.test('peers that live and have nothing to say', async t => {
  const stacks = await idle(t, 3_000)
  const [a, b] = [stacks.a, stacks.b].map(stack => stack.stats().total.traffic)
  t.match([a, b], [{ peerDead: 0 }, { peerDead: 0 }])
  // One may always be the first to ask.
  t.ok(a.challengesOut + b.challengesOut > 3, 'they asked each other')
})

t.test('bad options', async t => {
  const code = ErrorCode.INVALID_ARGUMENT
  for (const wrong of [
    { interval: 499, probes: 3 },
    { interval: 1000.5, probes: 3 },
    { interval: 1000, probes: 0 },
    { interval: 1000, probes: 101 },
  ]) {
    const [device, other] = createVirtualLink()
    await t.rejects(Stack.open({ device, keepalive: wrong }), { code })
    other.close()
  }
})
