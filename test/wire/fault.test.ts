import t from 'tap'
import { Fault, faultNames } from '../../src/wire/fault.js'

t.test('faults are −1, −2 … without a gap, and name themselves', async t => {
  t.strictSame(
    Object.values(Fault),
    faultNames.map((_, i) => -1 - i),
  )
  for (const [name, fault] of Object.entries(Fault)) t.equal(faultNames[~fault], name)
})
