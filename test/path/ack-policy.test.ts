import t from 'tap'
import { ackIsDue, ackMayStay } from '../../src/path/ack-policy.js'

const kiB = 1024
const miB = 1024 * kiB

t.test('the ack number that data carries stays until it is 32 KiB or 250 ms behind', async t => {
  for (const [behind, waited, stays] of [
    [0, 0, true],
    [32 * kiB - 1, 249, true],
    [32 * kiB, 0, false],
    [0, 250, false],
  ] as const) {
    t.equal(ackMayStay(behind, waited), stays, `${behind} bytes, ${waited} ms`)
  }
})

t.test('when a bare ACK leaves at once', async t => {
  for (const [what, owed, received, waited, due] of [
    ['a new flow, less than a step', 32 * kiB - 1, 32 * kiB - 1, 1_000, false],
    ['a new flow, a step', 32 * kiB, 32 * kiB, 0, true],
    ['the last step of its first MiB', 32 * kiB, miB, 0, true],
    ['the first one behind it', 32 * kiB, miB + 1, 1_000, false],
    ['a MiB of an old flow', miB, 100 * miB, 10, true],
    ['a MiB, too soon after the last ACK', miB, 100 * miB, 9, false],
    ['nearly a MiB, however late', miB - 1, 100 * miB, 100_000, false],
    ['16 MiB, however soon', 16 * miB, 100 * miB, 0, true],
    ['nothing', 0, 0, 100_000, false],
  ] as const) {
    t.equal(ackIsDue(owed, received, waited), due, what)
  }
})
