/** Connections that live, begin and end while the clock passes a given time; clock.long.test.ts runs it in a time namespace. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { native } from '../../src/native.js'
import { text } from '../support/datagrams.js'
import { addresses, connectPair, openStacks, take } from '../support/stacks.js'

const passes = Number(process.argv[2])

t.test('nothing happens to connections', async t => {
  const day = 86_400_000
  const wallClock = Date.now
  // There and back again, a day at a time.
  let calls = 0
  Date.now = () => wallClock() + (calls++ % 2 === 0 ? day : -day)
  const options = { keepalive: { interval: 500, probes: 2 } }
  const stacks = await openStacks(t, { queues: 2 }, { a: options, b: options })
  const listener = stacks.b.listen(1)
  const idle = [await connectPair(stacks, 1, 4, listener), await connectPair(stacks, 1, 6, listener)]
  const busy = [await connectPair(stacks, 1, 4, listener), await connectPair(stacks, 1, 6, listener)]
  const before = native.clock()
  t.ok(before < passes && before > passes - 20_000, `${passes - before} ms before`)
  let rounds = 0
  let wrong = 0
  while (native.clock() < passes + 3_000) {
    const word = `round ${rounds++}`
    for (const { client, server } of busy) {
      client.send(Buffer.from(word))
      server.send(Buffer.from(word))
      const got = [text((await take(server, 1))[0]), text((await take(client, 1))[0])]
      if (got.some(each => each !== word)) wrong++
    }
    // One that begins and ends meanwhile.
    const [client, server] = await Promise.all([stacks.a.connect(addresses.b[4], 1), listener.accept()])
    await (rounds % 2 === 0 ? client : server).close()
    await Promise.all([client.closed, server.closed])
    await sleep(20)
  }
  t.ok(rounds > 20, `${rounds} rounds`)
  t.equal(wrong, 0)
  for (const { client, server } of idle) {
    client.send(Buffer.from('still there'))
    t.equal(text((await take(server, 1))[0]), 'still there')
  }
  t.match(stacks.a.stats().total.traffic, { peerDead: 0 })
  t.match(stacks.b.stats().total.traffic, { peerDead: 0 })
  t.ok(stacks.a.stats().total.traffic.challengesOut > 0, 'idle ones were asked')
  t.equal(stacks.a.stats().connections, 4)
  Date.now = wallClock
})
