import t from 'tap'
import { Errno, native, UdpFlag } from '../../src/native.js'
import {
  bindUdp,
  claimUdpPort,
  describeUdp,
  openUdp,
  scopeOf,
  type UdpAddress,
  UdpError,
} from '../../src/udp/socket.js'

const here: UdpAddress = { bytes: Uint8Array.of(127, 0, 0, 1), zone: '' }
const linkLocal = (zone: string): UdpAddress => ({ bytes: Uint8Array.of(0xfe, 0x80, ...Array(13).fill(0), 1), zone })

t.test('addresses as text', async t => {
  t.equal(describeUdp(here, 80), '127.0.0.1:80')
  t.equal(describeUdp(linkLocal('br-lan'), 80), '[fe80::1%br-lan]:80')
})

t.test('zones', async t => {
  t.equal(scopeOf(''), 0)
  t.equal(scopeOf('lo'), native.interfaceIndex('lo'))
  t.equal(scopeOf('7'), 7, 'a number that is no name')
  t.equal(scopeOf('nothing'), -Errno.ENODEV)
})

t.test('a port of several sockets, and one that is taken', async t => {
  const first = bindUdp(here, 0, UdpFlag.reusePort)
  const port = native.udpPort(first.fd)
  const second = bindUdp(here, port, UdpFlag.reusePort)
  t.match(first, { family: 4 })
  t.throws(() => claimUdpPort(here, port), {
    name: 'FakeTcpError',
    code: 'ERR_FAKE_TCP_UDP',
    errno: Errno.EADDRINUSE,
    message: `UDP 127.0.0.1:${port} is in use by another program: choose another port, or stop that program.`,
  })
  native.close(first.fd)
  native.close(second.fd)
  t.doesNotThrow(() => claimUdpPort(here, port))
})

t.test('what is wrong is said', async t => {
  const cases: [UdpAddress, number, RegExp][] = [
    [{ bytes: Uint8Array.of(192, 0, 2, 1), zone: '' }, Errno.EADDRNOTAVAIL, /^UDP 192\.0\.2\.1:5 has an address that/],
    [linkLocal('nothing'), Errno.ENODEV, /^UDP \[fe80::1%nothing\]:5 names a network interface that this machine/],
  ]
  for (const [address, errno, message] of cases) t.throws(() => bindUdp(address, 5, 0), { errno, message })
  t.throws(() => openUdp(5 as 4, 0), { errno: Errno.EINVAL, message: /^A UDP socket was refused .*\(EINVAL\)\.$/ })
  t.ok(new UdpError(1, 'x') instanceof Error)
})
