/** rtnetlink against what `ip` has made. Runs in a private network namespace. */
import { createSocket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Errno } from '../../src/native.js'
import { Netlink, RouteType } from '../../src/net/netlink.js'
import { bytesOf as bytes, ip, layWire } from '../support/ip.js'

layWire()
ip('link', 'set', 'left', 'mtu', '1400')

const netlink = new Netlink()
t.teardown(() => netlink.close())
const left = netlink.link('left')?.index ?? 0

t.test('interfaces', async t => {
  t.match(netlink.link('left'), { name: 'left', up: true, mtu: 1400 })
  t.same(netlink.link(left), netlink.link('left'))
  t.equal(netlink.link('nowhere'), undefined)
  t.equal(netlink.link(4711), undefined)
  t.same(
    netlink
      .links()
      .map(({ name }) => name)
      .sort(),
    ['left', 'lo', 'right'],
  )
})

for (const [host, peer] of [
  ['10.9.8.1', '10.9.8.2'],
  ['fd09::1', 'fd09::2'],
]) {
  t.test(`addresses and routes: ${host}`, async t => {
    const has = () => netlink.addresses().filter(({ local }) => Buffer.compare(local, bytes(host)) === 0)
    t.equal(netlink.route(bytes(peer)), undefined, 'no route')
    t.equal(netlink.addAddress(left, bytes(host), bytes(peer)), 0)
    t.match(has(), [{ index: left, prefixLength: bytes(host).length * 8 }])
    t.same(has()[0].peer, bytes(peer))
    t.equal(netlink.addAddress(left, bytes(host), bytes(peer)), -Errno.EEXIST)
    t.ok(netlink.addAddress(4711, bytes(host), bytes(peer)) < 0, 'no such interface')
    // The kernel adds the routes of an IPv6 address a moment after it has acknowledged the address.
    while (netlink.route(bytes(peer)) === undefined) await sleep(5)
    t.match(netlink.route(bytes(peer)), { type: RouteType.unicast, index: left, gateway: false, mtu: 0 })
    t.equal(netlink.route(bytes(host))?.type, RouteType.local)

    ip('route', 'delete', peer, 'dev', 'left')
    t.equal(netlink.route(bytes(peer)), undefined)
    t.equal(netlink.addPeerRoute(left, bytes(host), bytes(peer)), 0)
    t.match(netlink.route(bytes(peer)), { type: RouteType.unicast, index: left })
    t.equal(netlink.addPeerRoute(left, bytes(host), bytes(peer)), -Errno.EEXIST)

    t.equal(netlink.removeAddress(left, bytes(host), bytes(peer)), 0)
    t.same(has(), [])
    t.ok(netlink.removeAddress(left, bytes(host), bytes(peer)) < 0)
  })
}

t.test('routes that match', async t => {
  ip('address', 'add', '10.1.0.1/24', 'dev', 'right')
  ip('route', 'add', '10.2.0.0/16', 'via', '10.1.0.2', 'mtu', '1300')
  ip('route', 'add', 'blackhole', '10.3.0.0/16')
  t.match(netlink.route(bytes('10.1.0.77')), { prefixLength: 24, gateway: false })
  t.match(netlink.route(bytes('10.2.3.4')), { prefixLength: 16, gateway: true, mtu: 1300 })
  const hole = netlink.route(bytes('10.3.0.1'))
  t.ok(hole === undefined || hole.type === RouteType.blackhole)
  t.equal(netlink.route(bytes('192.0.2.1')), undefined)
  ip('route', 'add', 'default', 'via', '10.1.0.2')
  t.match(netlink.route(bytes('192.0.2.1')), { prefixLength: 0, gateway: true })
})

t.test('the next hop, and whether it answers', async t => {
  ip('link', 'set', 'right', 'arp', 'off')
  ip('address', 'add', '10.4.0.1/24', 'dev', 'left')
  t.same(netlink.route(bytes('10.4.0.7'))?.hop, bytes('10.4.0.7'))
  t.same(netlink.route(bytes('10.2.3.4'))?.hop, bytes('10.1.0.2'))
  t.notOk(netlink.isUnanswered(left, bytes('10.4.0.7')), 'nobody has asked')
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  socket.on('error', () => {})
  socket.send('anyone?', 9, '10.4.0.7')
  while (!netlink.isUnanswered(left, bytes('10.4.0.7'))) await sleep(5)
  t.notOk(netlink.isUnanswered(left + 1, bytes('10.4.0.7')), 'on that interface')
  t.notOk(netlink.isUnanswered(left, bytes('10.4.0.8')), 'that one')
  ip('address', 'delete', '10.4.0.1/24', 'dev', 'left')
})
