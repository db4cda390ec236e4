import t from 'tap'
import { type PortPlan, planPorts, portCapacity } from '../../src/tunnel/port-plan.js'
import { SourcePorts } from '../../src/tunnel/source-ports.js'

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

const small: PortPlan = { loopback: [Uint16Array.of(61_000, 61_001, 61_002)], elsewhere: [Uint16Array.of(7, 8)] }
const text = (source: ReturnType<SourcePorts['take']>) =>
  source && `${source.address === undefined ? '*' : [...source.address].join('.')}:${source.port}`

t.test('one loopback address after the other, in an order that nobody knows', async t => {
  const ports = new SourcePorts(small, 0, 1)
  const taken = Array.from({ length: 9 }, () => text(ports.take(true, 0)))
  for (const address of [1, 2, 3]) {
    const wanted = [61_000, 61_001, 61_002].map(port => `127.0.0.${address}:${port}`)
    t.same(taken.slice(3 * address - 3, 3 * address).sort(), wanted)
  }
  const orders = new Set(
    Array.from({ length: 50 }, () => {
      const fresh = new SourcePorts(small, 0, 1)
      return [1, 2, 3].map(() => fresh.take(true, 0)?.port).join()
    }),
  )
  t.ok(orders.size > 2, `${orders.size} orders`)
})

t.test('elsewhere the kernel chooses the address, and ports end', async t => {
  const ports = new SourcePorts(small, 0, 1)
  const first = ports.take(false, 0)
  const second = ports.take(false, 0)
  t.same([text(first), text(second)].sort(), ['*:7', '*:8'])
  t.equal(ports.take(false, 0), undefined)
  ports.release(second!, 0)
  t.same(ports.take(false, 0), second, 'at once, when there is no other')
  t.equal(ports.take(false, 0), undefined)
})

t.test('a port rests when there are others', async t => {
  const ports = new SourcePorts(small, 0, 1)
  const used = [0, 1, 2].map(() => ports.take(true, 0)!)
  for (const [i, each] of used.entries()) ports.release(each, 1_000 * i)
  t.match(text(ports.take(true, 59_999)), /^127\.0\.0\.2:/)
  t.same(ports.take(true, 60_000), used[0], 'oldest first')
  t.match(text(ports.take(true, 60_999)), /^127\.0\.0\.2:/)
  t.same(ports.take(true, 61_000), used[1])
})

t.test('tiers come one after the other', async t => {
  const two: PortPlan = { loopback: [], elsewhere: [Uint16Array.of(61_000), Uint16Array.of(10_000, 10_001)] }
  const ports = new SourcePorts(two, 0, 1)
  t.equal(ports.take(false, 0)?.port, 61_000)
  t.same([ports.take(false, 0)?.port, ports.take(false, 0)?.port].sort(), [10_000, 10_001])
})

t.test('workers do not meet', async t => {
  const plan = planPorts(() => '32768 60999')
  const taken = [0, 1, 2].map(queue => {
    const ports = new SourcePorts(plan, queue, 3)
    return Array.from({ length: 2_000 }, () => text(ports.take(true, 0)))
  })
  t.equal(new Set(taken.flat()).size, 6_000)
})

t.test('a machine with one loopback address', async t => {
  const ports = new SourcePorts(small, 0, 1)
  ports.keepToOneAddress()
  for (let i = 0; i < 3; i++) t.match(text(ports.take(true, 0)), /^127\.0\.0\.1:/)
  t.equal(ports.take(true, 0), undefined)
})
