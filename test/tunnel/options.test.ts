import t from 'tap'
import { createVirtualLink } from '../../src/index.js'
import { resolveClient, resolveServer, serviceNumbers } from '../../src/tunnel/options.js'

const invalid = (message: RegExp) => ({ code: 'ERR_FAKE_TCP_INVALID_ARGUMENT', message })
const client = { local: '127.0.0.1:4500', remote: '192.0.2.1:4567' }
const server = { local: 4567, remote: 'localhost:51820' }

t.test('a client that is told nothing but where', async t => {
  t.match(resolveClient(client), {
    role: 'client',
    localText: '127.0.0.1:4500',
    local: { bytes: Uint8Array.of(127, 0, 0, 1) },
    localPort: 4500,
    remote: { host: '192.0.2.1', port: 4567, address: { bytes: Uint8Array.of(192, 0, 2, 1) } },
    families: [4, 6],
    mtu: 1_500,
    services: { idleMs: serviceNumbers.idleMs.default },
    maxFlows: undefined,
    stack: {
      keepalive: {},
      tun: {
        ...{ hostAddress: '192.168.200.1', stackAddress: '192.168.200.2', ifAddressesTaken: 'others' },
        ...{ hostAddress6: 'fcc8::1', stackAddress6: 'fcc8::2', ifAddressesTaken6: 'others', ifNoIPv6: 'ipv4' },
      },
    },
  })
})

t.test('a server', async t => {
  t.match(resolveServer(server), {
    role: 'server',
    localText: 'port 4567',
    port: 4567,
    remote: { host: 'localhost', port: 51_820, address: undefined },
    stack: { tun: { hostAddress: '192.168.201.1', stackAddress6: 'fcc9::2' } },
  })
})

t.test('addresses that were chosen are meant', async t => {
  const { tun } = resolveClient({ ...client, tun: { hostAddress: '10.0.0.1' } }).stack
  t.match(tun, { hostAddress: '10.0.0.1', stackAddress: '192.168.200.2', ifAddressesTaken: 'error' })
  t.match(tun, { hostAddress6: 'fcc8::1', ifAddressesTaken6: 'others', ifNoIPv6: 'ipv4' }, 'the others give way')
  const six = resolveClient({ ...client, tun: { stackAddress6: 'fc00::2', ifAddressesTaken: 'error' } }).stack.tun
  t.match(six, { stackAddress6: 'fc00::2', ifAddressesTaken6: 'error', ifNoIPv6: 'error', ifAddressesTaken: 'error' })
})

t.test('IPv4 only', async t => {
  const { families, stack } = resolveClient({ ...client, ipv4Only: true, tun: { hostAddress6: 'fc00::1' } })
  t.same(families, [4])
  t.notOk('hostAddress6' in stack.tun!)
  t.notOk('stackAddress6' in stack.tun!)
  const remote = '[2001:db8::1]:4567'
  t.doesNotThrow(() => resolveClient({ ...client, remote }))
  t.throws(() => resolveClient({ ...client, remote, ipv4Only: true }), invalid(/`ipv4Only` leaves no way/))
})

t.test('what the stack is told', async t => {
  const { stack } = resolveServer({ ...server, coalesceUs: 5, workerHeap: 100, keepalive: null })
  t.match(stack, { coalesceUs: 5, workerHeap: 100 })
  t.notOk('keepalive' in stack)
  t.equal(resolveServer({ ...server, tun: { queues: 3, mtu: 1_400 } }).queues, 3)
  t.match(resolveServer({ ...server, tun: { descriptors: [7, 8] } }), { queues: 2 })
})

t.test('a device instead of a TUN interface', async t => {
  const [device, other] = createVirtualLink({ queues: 2, mtu: 1_300 })
  t.teardown(() => {
    device.close()
    other.close()
  })
  t.match(resolveClient({ ...client, device }), { queues: 2, mtu: 1_300, families: [4, 6], stack: { device } })
  t.throws(() => resolveClient({ ...client, device, tun: {} }), invalid(/either `tun` or `device`/))
})

t.test('what is wrong', async t => {
  for (const [options, message] of [
    [{ local: 'x' }, /^`local` must look like/],
    [{ local: 'localhost:4500' }, /^The address of `local` must be an IPv4 or IPv6 address/],
    [{ local: '127.0.0.1:0' }, /^The port of `local` must be/],
    [{ remote: 'x' }, /^`remote` must look like/],
    [{ remote: '192.0.2.1:99999' }, /^The port of `remote` must be/],
    [{ remote: '[fe80::1%eth0]:1' }, /^`remote` is a link-local address/],
    [{ idleMs: 999 }, /^`idleMs` must be a whole number from 1000/],
    [{ maxFlows: 0 }, /^`maxFlows` must be a whole number from 1 to 1048576/],
    [{ coalesceUs: -1 }, /^`coalesceUs` must be/],
    [{ tun: { queues: 0 } }, /^`tun\.queues` must be/],
    [{ keepalive: { interval: 1 } }, /^`keepalive\.interval` must be/],
  ] as const) {
    t.throws(() => resolveClient({ ...client, ...options }), invalid(message), JSON.stringify(options))
  }
  t.throws(() => resolveServer({ ...server, local: 0 }), invalid(/^`local` must be a whole number from 1 to 65535/))
})
