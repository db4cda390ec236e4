import t from 'tap'
import { Pause } from '../../src/tunnel/pause.js'

t.test('pauses double up to a maximum', async t => {
  const pause = new Pause(100, 700)
  t.same([pause.take(), pause.take(), pause.take(), pause.take(), pause.take()], [100, 200, 400, 700, 700])
  pause.reset()
  t.same([pause.take(), pause.take()], [100, 200])
})
