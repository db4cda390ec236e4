import t from 'tap'
import { Heartbeat } from '../../src/workers/heartbeat.js'

t.test('a word of its own, 0 while it pauses', async t => {
  const shared = new SharedArrayBuffer(12)
  const words = new Int32Array(shared)
  const heartbeat = new Heartbeat(shared, 1)
  const at = (now: number) => {
    heartbeat.beat(now)
    return [...words]
  }
  t.same(at(5), [0, 5, 0])
  t.same(at(2 ** 32 + 7), [0, 7, 0], 'low word')
  t.same(at(2 ** 32), [0, 1, 0], 'never 0')
  heartbeat.pause()
  heartbeat.pause()
  t.same(at(9), [0, 0, 0])
  heartbeat.resume(10)
  t.same([...words], [0, 0, 0])
  heartbeat.resume(11)
  t.same([...words], [0, 11, 0])
})
