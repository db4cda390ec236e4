import fc from 'fast-check'
import t from 'tap'
import {
  checkPort,
  endpoint,
  fromBytes,
  fromWords,
  isLinkLocal,
  parseAddress,
  parseZoned,
} from '../../src/net/address.js'

const invalid = (message: RegExp | string) => ({ name: 'FakeTcpError', code: 'ERR_FAKE_TCP_INVALID_ARGUMENT', message })

t.test('addresses in, bytes and words out', async t => {
  t.same(parseAddress('192.168.200.1', 'x'), {
    family: 4,
    bytes: Uint8Array.of(192, 168, 200, 1),
    words: [0xc0a8c801 | 0, 0, 0, 0],
    text: '192.168.200.1',
  })
  t.same(parseAddress('FCC8::00:2', 'x'), {
    family: 6,
    bytes: Uint8Array.of(0xfc, 0xc8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2),
    words: [0xfcc80000 | 0, 0, 0, 2],
    text: 'fcc8::2',
  })
  t.equal(parseAddress('::ffff:1.2.3.4', 'x').family, 4, 'mapped')
  t.equal(parseAddress('::ffff:1.2.3.4', 'x', 4).text, '1.2.3.4')
  t.throws(() => parseAddress('::ffff:1.2.3.4', 'x', 6), invalid(/^x must be an IPv6 address/))
  t.throws(() => parseAddress('::1', 'the thing', 4), invalid('the thing must be an IPv4 address, not "::1".'))
})

t.test('what is no address', async t => {
  const texts = ['', ' ', '1', '1.2.3', '1.2.3.4.5', '256.1.1.1', '010.1.1.1', '0x1.1.1.1', 'a.b.c.d', '1.2.3.4 ', ':']
  const six = ['::1::', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', 'fffff::', '[::1]', '::1/64', '::1.2.3', 'g::']
  for (const text of [...texts, ...six]) {
    t.throws(() => parseAddress(text, 'x'), invalid(/^x must be an IPv4 or IPv6 address/), JSON.stringify(text))
  }
})

t.test('an address with too much', async t => {
  t.throws(
    () => parseAddress('192.168.200.1/24', 'x', 4),
    invalid('x must be an IPv4 address, not "192.168.200.1/24": leave the prefix length out.'),
  )
  t.throws(() => parseAddress('fcc8::1/64', 'x'), invalid(/: leave the prefix length out\.$/))
  t.throws(() => parseAddress('fe80::1%eth0', 'x', 6), invalid(/: leave the zone out\.$/))
})

t.test('zones of link-local addresses', async t => {
  for (const zone of ['eth0', 'br-lan', 'eth0.7', '3', 'a_b', 'wg@x', '123456789012345']) {
    const { address, zone: found } = parseZoned(`fe80::1%${zone}`, 'x')
    t.same({ text: address.text, found }, { text: 'fe80::1', found: zone })
  }
  t.match(parseZoned('ff02::1%eth0', 'x'), { zone: 'eth0' })
  for (const text of ['1.2.3.4', '::1', 'fd00::1', 'ff05::1']) t.match(parseZoned(text, 'x'), { zone: '' })
  for (const text of ['fe80::1', 'fe80::1%', 'fe80::1%a b', 'fe80::1%a/b', 'fe80::1%a%b', 'fe80::1%1234567890123456']) {
    t.throws(() => parseZoned(text, 'x'), invalid(/^x is link-local, and needs the name of its interface/), text)
  }
  t.throws(() => parseZoned('::1%lo', 'x'), invalid(/^x has a zone, which only link-local addresses have: write ::1\./))
  t.throws(() => parseZoned('1.2.3.4%lo', 'x'), invalid(/^x has a zone/))
  t.throws(() => parseZoned('nothing%lo', 'x'), invalid(/^x must be an IPv4 or IPv6 address/))
})

t.test('link-local addresses', async t => {
  const bytes = (text: string) => fromBytes(Uint8Array.from(parseAddress(text, 'x').bytes)).bytes
  for (const text of ['fe80::', 'febf::1', 'ff01::1', 'ff02::1', 'ff12::1']) t.ok(isLinkLocal(bytes(text)), text)
  for (const text of ['169.254.0.1', 'fe00::', 'fec0::1', 'fd00::1', '::', 'ff05::1', 'ff0e::1']) {
    t.notOk(isLinkLocal(bytes(text)), text)
  }
})

t.test('IPv4 in IPv6 is shown as IPv4', async t => {
  const mapped = Uint8Array.of(...new Uint8Array(10), 255, 255, 127, 0, 0, 1)
  t.match(fromBytes(mapped), { family: 6, text: '127.0.0.1', bytes: mapped })
})

t.test('every address survives the way through words and text', async t => {
  fc.assert(
    fc.property(fc.constantFrom(4, 16), fc.uint8Array({ minLength: 16, maxLength: 16 }), (length, random) => {
      const bytes = random.slice(0, length)
      const address = fromBytes(bytes)
      const back = fromWords(address.family, [9, ...address.words], 1)
      if (Buffer.compare(back.bytes, bytes) !== 0 || back.text !== address.text) return false
      const mapped = length === 16 && bytes.subarray(0, 10).every(byte => byte === 0) && bytes[10] === 255
      return mapped || Buffer.compare(parseAddress(address.text, 'x').bytes, bytes) === 0
    }),
    { numRuns: 1000 },
  )
  t.pass()
})

t.test('endpoints, ports and numbers', async t => {
  t.equal(endpoint('1.2.3.4', 5), '1.2.3.4:5')
  t.equal(endpoint('::1', 5), '[::1]:5')
  for (const port of [1, 65_535]) t.doesNotThrow(() => checkPort(port, 'x'))
  for (const port of [0, 65_536, -1, 0.5, Number.NaN]) {
    t.throws(
      () => checkPort(port, 'the port'),
      invalid(`the port must be a whole number from 1 to 65535, not ${port}.`),
    )
  }
})
