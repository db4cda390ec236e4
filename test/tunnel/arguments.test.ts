import t from 'tap'
import { checkReachable, literalAddress, parseEndpoint, parseUdpAddress } from '../../src/tunnel/arguments.js'

const invalid = (message: RegExp) => ({ code: 'ERR_FAKE_TCP_INVALID_ARGUMENT', message })

t.test('endpoints', async t => {
  t.same(parseEndpoint('192.0.2.1:80', 'x'), { host: '192.0.2.1', port: 80 })
  t.same(parseEndpoint('[fe80::1%br-lan]:80', 'x'), { host: 'fe80::1%br-lan', port: 80 })
  t.same(parseEndpoint('server.example:80', 'x'), { host: 'server.example', port: 80 })
  for (const text of ['', 'x', '::1:80', '[::1]', 'x:', 'x:123456']) {
    t.throws(() => parseEndpoint(text, 'x'), invalid(/^x must look like/), text)
  }
  t.throws(() => parseEndpoint('x:0', 'x'), invalid(/^The port of x must be/))
})

t.test('addresses and names', async t => {
  t.same(literalAddress('192.0.2.1', 'x'), { bytes: Uint8Array.of(192, 0, 2, 1), zone: '' })
  t.match(literalAddress('fe80::1%eth0.7', 'x'), { zone: 'eth0.7' })
  for (const name of ['server.example', 'localhost', 'a-1', '1.example', 'under_score']) {
    t.equal(literalAddress(name, 'x'), undefined, name)
  }
  for (const text of ['1.2.3', '1.2.3.4.5', '192.0.2.1/24', 'fe80::1', '::1%lo', 'name%lo']) {
    t.throws(() => literalAddress(text, 'x'), invalid(/^x /), text)
  }
  t.throws(() => parseUdpAddress('localhost', 'x'), invalid(/^x must be an IPv4 or IPv6 address/))
})

t.test('where a client can go', async t => {
  const check = (text: string, ipv4Only = false) => checkReachable(parseUdpAddress(text, 'x'), ipv4Only)
  t.doesNotThrow(() => check('192.0.2.1', true))
  t.doesNotThrow(() => check('2001:db8::1'))
  t.throws(() => check('fe80::1%eth0'), invalid(/^`remote` is a link-local address, and the TUN interface is/))
  t.throws(() => check('2001:db8::1', true), invalid(/^`remote` is an IPv6 address, and `ipv4Only`/))
})
