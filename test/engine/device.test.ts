import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { createVirtualLink, ErrorCode, Stack, type TunOptions, type VirtualLinkOptions } from '../../src/index.js'
import { native } from '../../src/native.js'

const invalid = { name: 'FakeTcpError', code: ErrorCode.INVALID_ARGUMENT }
const descriptors = () => readdirSync('/proc/self/fd').length

t.test('a virtual link', async t => {
  const before = descriptors()
  const [a, b] = createVirtualLink({ queues: 3, mtu: 1400 })
  t.match(a, {
    name: 'virtual-a',
    mtu: 1400,
    stackAddress: { text: '192.168.200.2' },
    stackAddress6: { text: 'fcc8::2' },
  })
  t.match(b, {
    name: 'virtual-b',
    mtu: 1400,
    stackAddress: { text: '192.168.201.2' },
    stackAddress6: { text: 'fcc9::2' },
  })
  t.equal(a.queues.length, 3)
  t.not(a.virtioSize, 0)
  for (const queue of [0, 1, 2]) {
    const bytes = new Uint8Array(64)
    t.equal(native.write(a.queues[queue], Uint8Array.of(queue, 7), 0, 2), 2)
    t.equal(native.read(b.queues[queue], bytes, 0, 64), 2, 'queue to queue')
    t.equal(bytes[0], queue)
  }
  t.equal(
    createVirtualLink({ offload: false })
      .map(end => [end.close(), end.virtioSize][1])
      .join(),
    '0,0',
  )
  a.close()
  t.ok(native.write(b.queues[0], new Uint8Array(1), 0, 1) < 0, 'the other end is gone')
  b.close()
  a.close()
  t.equal(descriptors(), before)
})

t.test('options of a virtual link', async t => {
  for (const options of [
    { queues: 0 },
    { queues: 257 },
    { queues: 1.5 },
    { mtu: 1279 },
    { mtu: 65_536 },
    { mtu: Number.NaN },
  ] satisfies VirtualLinkOptions[]) {
    t.throws(() => createVirtualLink(options), invalid, JSON.stringify(options))
  }
})

t.test('options of a TUN device', async t => {
  const pair = { hostAddress: '192.168.200.1', stackAddress: '192.168.200.2' }
  for (const [options, message] of [
    [{}, /needs `tun\.hostAddress` and `tun\.stackAddress`/],
    [{ hostAddress: '10.0.0.1' }, /`tun\.hostAddress` .* `tun\.stackAddress`/],
    [{ stackAddress: '10.0.0.1' }, /tun\.stackAddress/],
    [{ ...pair, hostAddress6: 'fc00::1' }, /tun\.(host|stack)Address6/],
    [{ hostAddress: '10.0.0.1', stackAddress: '10.0.0.1' }, /must differ/],
    [{ hostAddress: '10.0.0', stackAddress: '10.0.0.1' }, /`tun\.hostAddress` must be an IPv4/],
    [{ hostAddress: 'fc00::1', stackAddress: 'fc00::2' }, /`tun\.hostAddress` must be an IPv4/],
    [{ hostAddress6: '10.0.0.1', stackAddress6: '10.0.0.2' }, /`tun\.hostAddress6` must be an IPv6/],
    [{ ...pair, name: 'sixteen-letters!' }, /`tun\.name` has at most 15 characters, "sixteen-letters!" has 16/],
    [{ ...pair, name: 'a b' }, /`tun\.name` contains no .* space, unlike "a b"/],
    [{ ...pair, name: 'a/b' }, /`tun\.name` contains no "\/", .*, unlike "a\/b"/],
    [{ ...pair, name: '..' }, /`tun\.name` cannot be "\.\."/],
    [{ ...pair, name: 'tun%d%d' }, /`tun\.name` contains one "%d" at most/],
    [{ ...pair, name: 'tun%x' }, /`tun\.name` contains one "%d" at most/],
    [{ ...pair, queues: 0 }, /`tun\.queues` must be a whole number from 1 to 256/],
    [{ ...pair, queues: 257 }, /tun\.queues/],
    [{ ...pair, mtu: 575 }, /`tun\.mtu` must be a whole number from 576/],
    [{ hostAddress6: 'fc00::1', stackAddress6: 'fc00::2', mtu: 1_279 }, /`tun\.mtu` must be a whole number from 1280/],
    [{ ...pair, mtu: 70_000 }, /tun\.mtu/],
    [{ ...pair, txQueueLength: 0 }, /tun\.txQueueLength/],
  ] as [TunOptions, RegExp][]) {
    await t.rejects(Stack.open({ tun: options }), { ...invalid, message }, JSON.stringify(options))
  }
})

const isRoot = process.getuid?.() === 0
const drop = ['--bounding-set=-all', '--inh-caps=-all', process.execPath]
const obstacle = !existsSync('/dev/net/tun')
  ? 'needs /dev/net/tun'
  : isRoot && spawnSync('setpriv', [...drop, '-v']).status !== 0 && 'root needs setpriv to give up its capabilities'
if (obstacle) t.comment(`skipped: ${obstacle}`)

t.test('without permission', { skip: obstacle }, async t => {
  const index = fileURLToPath(new URL('../../src/index.js', import.meta.url))
  const script = `
    import { Stack } from ${JSON.stringify(index)}
    Stack.open({ tun: { name: 'forbidden0', hostAddress: '10.9.9.1', stackAddress: '10.9.9.2' } }).then(
      () => console.log('open'), error => console.log(error.name, error.code, error.message))`
  const args = ['--input-type=module', '-e', script]
  const child = isRoot
    ? spawnSync('setpriv', [...drop, ...args], { encoding: 'utf8' })
    : spawnSync(process.execPath, args, { encoding: 'utf8' })
  t.match(child.stdout, /^FakeTcpError ERR_FAKE_TCP_PERMISSION .*CAP_NET_ADMIN.*run as root/)
  t.equal(child.status, 0, child.stderr)
})
