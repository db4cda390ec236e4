/** What is put back when `ip` takes it away. Runs in a private network namespace. */
import t, { type Test } from 'tap'
import { InterfaceWatch } from '../../src/net/interface-watch.js'
import { Netlink } from '../../src/net/netlink.js'
import { addressOf, bytesOf, ip, layWire } from '../support/ip.js'
import { until } from '../support/until.js'

const four = { host: addressOf('10.9.8.1'), stack: addressOf('10.9.8.2') }
const six = { host: addressOf('fd09::1'), stack: addressOf('fd09::2') }

layWire()
const netlink = new Netlink()
t.teardown(() => netlink.close())
const indexOf = (name: string): number => netlink.link(name)!.index
const left = indexOf('left')

const leadsTo = (address: { bytes: Uint8Array }): number | undefined => netlink.route(address.bytes)?.index

/** `left` as it shall be. */
const restore = async (): Promise<void> => {
  for (const { host, stack } of [four, six]) {
    // With an address the kernel makes its route, for IPv6 a moment later; when the address is there, the route alone may be missing.
    const added = netlink.addAddress(left, host.bytes, stack.bytes) === 0
    if (!added && leadsTo(stack) !== left) netlink.addPeerRoute(left, host.bytes, stack.bytes)
    await until(() => leadsTo(stack) === left, `a route to ${stack.text}`)
  }
}

/** A watch over `left`, which has its addresses and routes. */
const open = async (t: Test, pairs = [four, six]) => {
  await restore()
  const said: string[] = []
  let changes = 0
  const note = (level: string) => (_: object, text: string) => said.push(`${level}: ${text}`)
  const log = { info: note('info'), warn: note('warn'), error: note('error') }
  const watch = new InterfaceWatch(netlink, { index: left, name: 'left', pairs }, log, () => changes++)
  t.teardown(() => watch.close())
  return {
    said,
    changes: () => changes,
    heard: (count: number) => until(() => said.length >= count, `${count} lines`),
    /** Waits for a look at changes that come after this call. */
    looked: async () => {
      const before = changes
      ip('address', 'add', '10.5.0.1/32', 'dev', 'lo')
      ip('address', 'delete', '10.5.0.1/32', 'dev', 'lo')
      await until(() => changes > before, 'a look')
    },
  }
}

t.test('changes elsewhere are told, and nothing is said', async t => {
  const { said, changes, looked } = await open(t)
  await looked()
  t.strictSame(said, [])
  t.equal(changes(), 1, 'one look for a burst')
})

for (const pair of [four, six]) {
  const { host, stack } = pair
  t.test(`an address and its route: ${host.text}`, async t => {
    const { said, heard } = await open(t, [pair])
    netlink.removeAddress(left, host.bytes, stack.bytes)
    await heard(1)
    t.strictSame(said, [`warn: left had lost the address ${host.text}: put back`])
    await until(() => leadsTo(stack) === left, 'its route')
  })

  t.test(`a route alone: ${stack.text}`, async t => {
    const { said, heard } = await open(t, [pair])
    ip('route', 'delete', stack.text, 'dev', 'left')
    t.equal(leadsTo(stack), undefined)
    await heard(1)
    t.strictSame(said, [`warn: left had lost the route to ${stack.text}: put back`])
    t.equal(leadsTo(stack), left)
  })
}

t.test('a link that is set down comes up again, with all that it had', async t => {
  const { said, heard } = await open(t)
  ip('link', 'set', 'left', 'down')
  await heard(1)
  t.match(said[0], /^warn: left had lost the link/u)
  t.ok(netlink.link(left)?.up)
  await until(() => leadsTo(four.stack) === left && leadsTo(six.stack) === left, 'both routes')
})

t.test('an interface that has taken the packets over is named, once until they come back', async t => {
  const { said, heard, looked } = await open(t, [four])
  const other = ['10.9.8.2', 'dev', 'right', 'metric', '0']
  ip('route', 'delete', '10.9.8.2', 'dev', 'left')
  ip('route', 'add', ...other)
  await heard(1)
  t.strictSame(said, ['error: packets to 10.9.8.2 do not reach left: right has taken them over'])
  await looked()
  t.equal(said.length, 1, 'not again')
  ip('route', 'delete', ...other)
  await heard(2)
  t.strictSame(said.slice(1), ['warn: left had lost the route to 10.9.8.2: put back'])
  ip('route', 'delete', '10.9.8.2', 'dev', 'left')
  ip('route', 'add', ...other)
  await heard(3)
  t.match(said[2], /^error: packets to 10\.9\.8\.2/u, 'it was well in between')
  ip('route', 'delete', ...other)
})

t.test('after its end nothing is put back', async t => {
  await restore()
  const watch = new InterfaceWatch(netlink, { index: left, name: 'left', pairs: [four] }, undefined, () => t.fail())
  ip('route', 'delete', '10.9.8.2', 'dev', 'left')
  watch.close()
  const { looked } = await open(t, [six])
  ip('route', 'delete', '10.9.8.2', 'dev', 'left')
  await looked()
  t.equal(leadsTo(four.stack), undefined)
})

t.test('an interface that is gone is nobody’s to repair', async t => {
  const { said, changes } = await open(t)
  ip('link', 'delete', 'left')
  await until(() => changes() > 0, 'a look')
  t.strictSame(said, [])
  t.equal(netlink.route(bytesOf('10.9.8.2')), undefined)
})
