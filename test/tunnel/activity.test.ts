import t from 'tap'
import { Activity } from '../../src/tunnel/activity.js'

t.test('one question and one answer may go soon', async t => {
  /** 'o' stands for a datagram out, 'i' for one back, capitals for several at once. */
  const idle = (datagrams: string, after: number, idleMs = 180_000) => {
    const activity = new Activity(1_000)
    for (const each of datagrams) activity[each.toLowerCase() === 'o' ? 'out' : 'in'](1_000, each < 'a')
    return activity.isIdle(1_000 + after, idleMs)
  }
  const cases = { '': true, o: true, oi: true, oo: false, O: false, oii: false, oI: false, I: false }
  for (const [datagrams, brief] of Object.entries(cases)) {
    t.equal(idle(datagrams, 15_000), brief, datagrams)
    t.equal(idle(datagrams, 14_999), false, `${datagrams}, before`)
    t.equal(idle(datagrams, 180_000), true, `${datagrams}, at the end`)
    t.equal(idle(datagrams, 3_000, 3_000), true, `${datagrams}, where nothing may stay for longer`)
  }
})

t.test('what was last counts, whichever way', async t => {
  const activity = new Activity(0)
  activity.out(10, false)
  activity.in(20, false)
  t.equal(activity.lastAt, 20)
  activity.out(30, false)
  t.equal(activity.lastAt, 30)
})

t.test('waiting for an answer', async t => {
  const activity = new Activity(0)
  t.equal(activity.waitingSince, 0)
  activity.out(1_000, false)
  activity.out(5_000, false)
  t.equal(activity.waitingSince, 1_000)
  t.notOk(activity.isUnheard(10_999))
  t.ok(activity.isUnheard(11_000))
  activity.restartWaiting(8_000)
  t.notOk(activity.isUnheard(17_999))
  activity.in(9_000, false)
  t.equal(activity.waitingSince, 0)
  activity.out(12_000, true)
  t.equal(activity.waitingSince, 12_000)
  t.notOk(activity.isUnheard(60_000), 'it was heard once')
})

t.test('one datagram without an answer is no news', async t => {
  const activity = new Activity(0)
  activity.out(1_000, false)
  t.notOk(activity.isUnheard(60_000))
})
