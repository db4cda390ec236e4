import t from 'tap'
import { FloodAlarm } from '../../src/flood/flood-alarm.js'

t.test('told once a second while more than 10,000 a second are refused', async t => {
  let told = 0
  const alarm = new FloodAlarm(() => told++)
  const refuse = (count: number, now: number) => {
    for (let i = 0; i < count; i++) alarm.refused(now)
    return told
  }
  t.equal(refuse(1_000, 5_000), 0, 'a burst')
  t.equal(refuse(1, 5_000), 1)
  t.equal(refuse(20_000, 5_999), 1)
  t.equal(refuse(20_000, 6_001), 2)
  for (let now = 8_000; now < 10_000; now++) refuse(10, now)
  t.equal(told, 2, 'ten a millisecond are none')
})
