/** A leg's socket on real UDP sockets of the loopback interface. */
import t, { type Test } from 'tap'
import { Errno, native } from '../../src/native.js'
import { UdpIntake } from '../../src/tunnel/intake.js'
import { isLoopback, LegSocket, OwnAddresses } from '../../src/tunnel/leg-socket.js'
import type { PortPlan } from '../../src/tunnel/port-plan.js'
import { SourcePorts } from '../../src/tunnel/source-ports.js'
import type { UdpAddress } from '../../src/udp/socket.js'
import { FakeContext } from '../support/service.js'
import { openPeer } from '../support/udp-socket.js'

const at = (...bytes: number[]): UdpAddress => ({ bytes: Uint8Array.from(bytes), zone: '' })
const four = at(127, 0, 0, 1)
const six = at(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
const elsewhere = at(192, 0, 2, 1)

/** Ports that nobody has right now: the kernel chose them, and they were given back. */
const freePorts = (t: Test, count: number): Uint16Array => {
  const peers = Array.from({ length: count }, () => openPeer(t, Uint8Array.of(127, 0, 0, 1)))
  for (const { close } of peers) close()
  return Uint16Array.from(peers, ({ port }) => port)
}

const open = (plan: PortPlan) => {
  const context = new FakeContext()
  const intake = new UdpIntake(context)
  const ports = new SourcePorts(plan, 0, 1)
  const shared = { context, intake, ports, gro: false }
  return { context, ports, leg: (to: UdpAddress) => new LegSocket(shared, to) }
}

const send = (fd: number, text: string): void => {
  const bytes = Buffer.from(text)
  const written = native.write(fd, bytes, 0, bytes.length)
  if (written !== bytes.length) throw new Error(`write: ${written}`)
}
const receive = (fd: number): string | undefined => {
  const bytes = Buffer.alloc(2000)
  const length = native.read(fd, bytes, 0, bytes.length)
  return length < 0 ? undefined : bytes.toString('utf8', 0, length)
}

t.test('what is a loopback address', async t => {
  for (const address of [four, at(127, 9, 9, 9), six]) t.ok(isLoopback(address), `${address.bytes}`)
  for (const address of [elsewhere, at(128, 0, 0, 1), at(...new Array(16).fill(0)), at(1, ...six.bytes.slice(1))]) {
    t.notOk(isLoopback(address), `${address.bytes}`)
  }
})

t.test('it has a port of the plan while it lives, whoever it is connected to', async t => {
  const [port] = freePorts(t, 1)
  const { context, ports, leg } = open({ loopback: [Uint16Array.of(port)], elsewhere: [] })
  const socket = leg(four)
  const peers = [openPeer(t, four.bytes), openPeer(t, four.bytes)]
  for (const peer of peers) {
    t.equal(
      socket.connect(four, peer.port, () => true),
      0,
    )
    t.equal(native.udpPort(socket.fd), port)
    t.strictSame(socket.ownAddress(), four.bytes)
    send(socket.fd, 'hello')
    t.equal(receive(peer.fd), 'hello')
    t.strictSame(context.watched, [socket.fd], 'watched once')
  }
  t.match(ports.take(true, 0), { address: Uint8Array.of(127, 0, 0, 2) }, 'the next one is on another address')
  socket.close()
  t.strictSame(context.watched, [])
  context.pass(60_000)
  t.match(ports.take(true, context.now()), { address: four.bytes, port }, 'and it is free again')
})

t.test('what came from anybody while it had no peer is thrown away', async t => {
  const [port] = freePorts(t, 1)
  const { leg } = open({ loopback: [Uint16Array.of(port)], elsewhere: [] })
  const socket = leg(four)
  t.teardown(() => socket.close())
  const [stranger, peer] = [openPeer(t, four.bytes), openPeer(t, four.bytes)]
  native.udpConnect(stranger.fd, four.bytes, port, 0)
  send(stranger.fd, 'from a stranger')
  socket.connect(four, peer.port, () => true)
  t.equal(receive(socket.fd), undefined)
  native.udpConnect(peer.fd, four.bytes, port, 0)
  send(peer.fd, 'from the peer')
  t.equal(receive(socket.fd), 'from the peer')
})

t.test('a refused address leaves it without a peer, and unwatched', async t => {
  const [port] = freePorts(t, 1)
  const { context, leg } = open({ loopback: [Uint16Array.of(port)], elsewhere: [] })
  const socket = leg(four)
  t.teardown(() => socket.close())
  const peer = openPeer(t, four.bytes)
  t.equal(
    socket.connect(four, peer.port, () => true),
    0,
  )
  t.equal(
    socket.connect({ ...four, zone: 'nowhere0' }, peer.port, () => true),
    -Errno.ENODEV,
  )
  t.strictSame(context.watched, [])
  const bytes = Buffer.from('nobody')
  t.ok(native.write(socket.fd, bytes, 0, bytes.length) < 0, 'it has nobody to send to')
  t.equal(
    socket.connect(four, peer.port, () => true),
    0,
    'and may be connected again',
  )
})

t.test('which services it can be connected to', async t => {
  const [loopback, other] = freePorts(t, 2)
  const { leg } = open({ loopback: [Uint16Array.of(loopback)], elsewhere: [Uint16Array.of(other)] })
  const [onLoopback, onAny] = [leg(four), leg(elsewhere)]
  t.strictSame(
    [onLoopback, onAny].map(socket => socket.fits(four)),
    [true, false],
  )
  t.strictSame(
    [onLoopback, onAny].map(socket => socket.fits(elsewhere)),
    [false, true],
  )
  t.strictSame(
    [onLoopback, onAny].map(socket => socket.fits(six)),
    [false, false],
  )
  t.equal(native.udpPort(onAny.fd), other)
  for (const socket of [onLoopback, onAny]) socket.close()
})

t.test('ports of other programs are passed over', async t => {
  const [first, second] = freePorts(t, 2)
  const taken = openPeer(t, four.bytes, first)
  const { ports, leg } = open({ loopback: [Uint16Array.of(first), Uint16Array.of(second)], elsewhere: [] })
  const socket = leg(four)
  t.equal(native.udpPort(socket.fd), second)
  socket.close()
  taken.close()
  t.equal(ports.take(true, 60_000)?.port, first, 'the one that was tried rests like any other')
})

t.test('when no port is left, none is taken, and no descriptor is lost', async t => {
  const { leg } = open({ loopback: [], elsewhere: [] })
  const before = native.eventOpen()
  native.close(before)
  t.throws(() => leg(elsewhere), { errno: Errno.EADDRINUSE, message: /No UDP source port is left/ })
  const after = native.eventOpen()
  native.close(after)
  t.equal(after, before, 'the lowest free number is the same')
})

t.test('an address is this machine’s when it can be used', async t => {
  let now = 0
  const own = new OwnAddresses(() => now)
  t.ok(own.has(four.bytes, ''))
  t.ok(own.has(Uint8Array.of(127, 1, 2, 3), ''))
  t.notOk(own.has(elsewhere.bytes, ''))
  now = 10_000
  t.notOk(own.has(elsewhere.bytes, ''))
})
