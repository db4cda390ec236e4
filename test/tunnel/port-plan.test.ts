import t from 'tap'
import { type PortPlan, planPorts, portCapacity } from '../../src/tunnel/port-plan.js'

const plan = (range: string, reserved = '') =>
  planPorts(name => (name === 'ip_local_port_range' ? `${range}\n` : `${reserved}\n`))
const ends = (tiers: PortPlan['elsewhere']) => tiers.map(ports => [ports[0], ports[ports.length - 1], ports.length])

t.test('ports outside of what other programs get', async t => {
  const usual = plan('32768\t60999')
  t.same(ends(usual.loopback), [[61_000, 65_535, 4_536]])
  t.same(ends(usual.elsewhere), [
    [61_000, 65_535, 4_536],
    [10_000, 32_767, 22_768],
  ])
  t.ok(portCapacity(usual, true) > 1_000_000)
  t.equal(portCapacity(usual, false), 27_304)
})

t.test('reserved ports are left alone', async t => {
  const { loopback } = plan('32768 60999', '8080,61002-61004,65535')
  t.same([...loopback[0].slice(0, 3)], [61_000, 61_001, 61_005])
  t.equal(loopback[0].length, 4_532)
})

t.test('a range that leaves little: half of it is taken at most', async t => {
  for (const range of ['1024 65535', '10000 65535', '1 65535']) {
    const { loopback, elsewhere } = plan(range)
    for (const tiers of [loopback, elsewhere]) {
      const taken = tiers.reduce((sum, { length }) => sum + length, 0)
      t.ok(taken > 4_096 && taken <= (65_536 - 10_000) / 2, `${range}: ${taken}`)
      t.ok(tiers.every(ports => ports.every(port => port > 37_000)))
    }
  }
  const { elsewhere } = plan('12000 65000')
  t.same(
    elsewhere.map(ports => ports.length),
    [535, 2_000, 26_501],
    'what lies outside first',
  )
})

t.test('a range at either end, and a small one', async t => {
  t.same(ends(plan('1024 20000').elsewhere), [[20_001, 65_535, 45_535]])
  t.same(ends(plan('50000 65535').elsewhere), [[10_000, 49_999, 40_000]])
  t.same(ends(plan('50000 65535').loopback), [[10_000, 49_999, 40_000]])
  t.same(ends(plan('40000 40009').loopback), [[40_010, 65_535, 25_526]])
})

t.test('settings that cannot be read', async t => {
  const unknown = planPorts(() => {
    throw new Error('ENOENT')
  })
  t.same(ends(unknown.loopback), [[61_000, 65_535, 4_536]])
})

t.test("this machine's", async t => {
  t.ok(portCapacity(planPorts(), false) > 1_000)
})
