/** What interfaces and routes that `ip` has made carry. Runs in a private network namespace. */
import t from 'tap'
import { FirstHopMtu } from '../../src/net/first-hop-mtu.js'
import { Netlink } from '../../src/net/netlink.js'
import { addressOf, ip, layWire } from '../support/ip.js'

class CountingNetlink extends Netlink {
  /** How often the kernel was asked for a route. */
  asked = 0

  override route(address: Uint8Array) {
    this.asked++
    return super.route(address)
  }
}

layWire()
ip('address', 'add', '10.1.0.1/24', 'dev', 'right')
ip('route', 'add', '10.2.0.0/16', 'via', '10.1.0.2', 'mtu', '1300')
ip('route', 'add', 'default', 'via', '10.1.0.2')

const netlink = new CountingNetlink()
t.teardown(() => netlink.close())
const left = netlink.link('left')!.index
const right = netlink.link('right')!.index

const open = (own = 0) => {
  const mtus = new FirstHopMtu(netlink, own)
  return { mtus, to: (text: string, most = 1500) => mtus.to(addressOf(text), most) }
}

t.test('where every interface carries as much as is asked, the kernel is not asked for a route', async t => {
  const { to } = open()
  netlink.asked = 0
  t.equal(to('10.1.0.77'), 1500)
  t.equal(netlink.asked, 0)
  t.equal(to('10.1.0.77', 1501), 1500)
  t.equal(netlink.asked, 1, 'more than an interface carries')
})

t.test('the smallest of what is asked, the interface and its route', async t => {
  ip('link', 'set', 'left', 'mtu', '1290')
  const { mtus, to } = open()
  t.equal(to('10.1.0.77'), 1500, 'the other interface is not on the way')
  t.equal(to('10.2.3.4'), 1300, "the route's own")
  t.equal(to('10.2.3.4', 1295), 1295)
  ip('link', 'set', 'right', 'mtu', '1450')
  t.equal(to('10.1.0.77'), 1500, 'not noticed yet')
  mtus.refresh()
  t.equal(to('10.1.0.77'), 1450)
  t.equal(to('203.0.113.9'), 1450, 'by the default route')
  t.equal(to('127.0.0.1', 9000), 9000, 'this machine itself')
})

t.test('an interface that is down, and our own, say nothing', async t => {
  ip('link', 'set', 'left', 'down')
  netlink.asked = 0
  const { to } = open()
  t.equal(to('10.1.0.77', 1400), 1400)
  t.equal(netlink.asked, 0, 'the one with 1290 bytes is down')
  ip('link', 'set', 'left', 'up')
  t.equal(open(right).to('10.1.0.77', 1460), 1460, 'ours has 1450 bytes')
  netlink.asked = 0
  t.equal(open(left).to('10.1.0.77', 1400), 1400)
  t.equal(netlink.asked, 0, 'ours is the only one that carries less')
})

t.test('where no packet goes', async t => {
  ip('route', 'add', 'blackhole', '10.3.0.0/16')
  t.equal(open().to('10.3.0.1', 9000), 9000)
  ip('route', 'delete', 'default')
  t.equal(open().to('203.0.113.9', 9000), 9000)
})
