import t from 'tap'
import { Fault } from '../../src/wire/fault.js'
import * as ip from '../../src/wire/ip.js'
import { guarded, packet4, packet6, placed, poisoned } from '../support/packets.js'

t.test('version', async t => {
  t.equal(ip.check(placed(packet4(), 3), 3, 43), 4)
  t.equal(ip.check(placed(packet6(), 3), 3, 63), 6)
  for (const version of [0, 1, 5, 7, 15]) t.equal(ip.check(placed(packet4({ version }), 3), 3, 43), Fault.ipVersion)
})

t.test('protocol numbers', async t => {
  t.strictSame(ip.Protocol, { icmp: 1, tcp: 6, icmp6: 58 })
})

t.test('empty, 1 and 19 bytes', async t => {
  for (const length of [0, 1, 19]) {
    t.equal(ip.check(guarded(poisoned(40), 5, 5 + length), 5, 5 + length), Fault.frameTooShort)
  }
})
