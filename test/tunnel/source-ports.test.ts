import t from 'tap'
import { type PortPlan, planPorts } from '../../src/tunnel/port-plan.js'
import { SourcePorts } from '../../src/tunnel/source-ports.js'

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

t.test('a port that was given back rests in the pool that it came from', async t => {
  const one: PortPlan = { loopback: [], elsewhere: [Uint16Array.of(7)] }
  const ports = new SourcePorts(one, 0, 1)
  ports.release(ports.take(false, 0)!, 0)
  t.equal(ports.take(true, 100_000), undefined)
  t.equal(text(ports.take(false, 100_000)), '*:7')
})

t.test('a place on a loopback address comes back as it was', async t => {
  const ports = new SourcePorts({ loopback: [Uint16Array.of(65_535)], elsewhere: [] }, 0, 1)
  const all = Array.from({ length: 250 }, () => ports.take(true, 0)!)
  t.strictSame([text(all[0]), text(all[249]), ports.take(true, 0)], ['127.0.0.1:65535', '127.0.0.250:65535', undefined])
  ports.release(all[249], 0)
  t.strictSame(ports.take(true, 0), all[249])
})

t.test('many uses later the oldest is still the next', async t => {
  const ports = new SourcePorts({ loopback: [], elsewhere: [Uint16Array.of(1, 2, 3)] }, 0, 1)
  const order = [1, 2, 3].map(() => ports.take(false, 0)!)
  for (const source of order) ports.release(source, 0)
  for (let i = 0; i < 5_000; i++) {
    const source = ports.take(false, 100_000)
    if (source?.port !== order[i % 3].port) return t.fail(`use ${i}`)
    ports.release(source, 0)
  }
  t.pass()
})
