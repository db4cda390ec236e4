/** The way from the server to the UDP service changes: addresses that go, names that move, nobody who listens. Connections live on. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { programs } from '../../bench/programs.js'
import { type Child, stopAll } from '../../src/lab/child.js'
import { createNetwork, type Side } from '../../src/lab/network.js'
import { cli, endWith, ports, startClient, startServer, tuns } from '../support/programs.js'
import { address, createThird, third } from '../support/third.js'
import { startService, UdpSource } from '../support/udp-source.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))
const folder = mkdtempSync(join(tmpdir(), 'fake-tcp-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const hosts = join(folder, 'hosts')
const name = 'service.test'

const move = (...to: string[]): void => writeFileSync(hosts, to.map(each => `${each} ${name}\n`).join(''))

/** A server with a mount namespace of its own, in which our file is /etc/hosts. */
const startNamedServer = async (t: Test): Promise<Child> => {
  const flags = ['--local', String(ports.server), '--remote', `${name}:${ports.service}`, '--tun', tuns.b]
  const command = ['unshare', '--mount', 'sh', '-c', `mount --bind ${hosts} /etc/hosts && exec "$@"`, 'sh']
  const server = endWith(t, network.b.run([...command, ...cli, 'server', ...flags], { name: 'server', seconds: 90 }))
  await server.until(() => server.times('ready') > 0, 'readiness', 20)
  return server
}

/** An echo at this address of a side. */
const echoAt = async (t: Test, side: Side, host: string): Promise<Child> => {
  const listen = `${host.includes(':') ? `[${host}]` : host}:${ports.service}`
  const command = [...programs.udpService, '--listen', listen]
  const echo = endWith(t, side.run(command, { name: 'echo', seconds: 90 }))
  await echo.until(() => echo.stderr.includes('ready'), 'UDP socket')
  return echo
}

let words = 0

/** Sends a new word ten times a second; milliseconds until its first echo, and how many were sent. */
const untilEcho = async (source: UdpSource, patience: number) => {
  const word = `word ${++words}`
  const start = performance.now()
  let sent = 0
  const came = () => source.texts.includes(word)
  while (!came() && performance.now() - start < patience) {
    source.send(word)
    sent++
    await sleep(100)
  }
  return { came: came(), ms: performance.now() - start, sent }
}

const accepted = (server: Child): number => server.times('connection-accepted')

t.test('a name like localhost, and a service on 127.0.0.1 alone', async t => {
  await startService(t, network.b, 4)
  move('::1', '127.0.0.1')
  const server = await startNamedServer(t)
  t.match(server.stderr, /service\.test:4600 \(::1, 127\.0\.0\.1\)/)
  await startClient(t, network.a)
  const source = await UdpSource.open(t)
  const { came, sent } = await untilEcho(source, 5_000)
  // What was sent before the first connection opened goes to the address that refuses.
  t.ok(came && sent <= 10, `datagram ${sent} is answered`)
  t.equal(accepted(server), 1)
})

t.test('IPv6 goes away: the name has an IPv4 address too', async t => {
  const six = (off: number) => network.b.command(['sysctl', '-qw', `net.ipv6.conf.lo.disable_ipv6=${off}`])
  t.teardown(() => six(0))
  move('::1', '127.0.0.1')
  await startService(t, network.b, 6)
  await startService(t, network.b, 4)
  const server = await startNamedServer(t)
  await startClient(t, network.a)
  const source = await UdpSource.open(t)
  t.ok((await untilEcho(source, 5_000)).came)
  six(1)
  t.ok((await untilEcho(source, 10_000)).came, 'the connection goes on over IPv4')
  t.equal(accepted(server), 1)
})

t.test('nobody listens: one warning for each connection, and a line when somebody does', async t => {
  const server = await startServer(t, network.b)
  await startClient(t, network.a)
  const sources = [await UdpSource.open(t), await UdpSource.open(t)]
  for (let i = 0; i < 20; i++) {
    for (const source of sources) source.send('anyone?')
    await sleep(20)
  }
  await server.until(() => server.times('service-refuses') === 2, 'the warnings')
  await startService(t, network.b, 4)
  for (const source of sources) t.ok((await untilEcho(source, 3_000)).sent <= 2, 'the next datagram is answered')
  t.equal(server.times('service-refuses'), 2)
  t.equal(server.times('service-answers'), 2)
  t.equal(accepted(server), 2)
})

t.test('the name of the service moves: the old address refuses', async t => {
  move('127.0.0.1')
  const first = await echoAt(t, network.b, '127.0.0.1')
  const server = await startNamedServer(t)
  await startClient(t, network.a)
  const source = await UdpSource.open(t)
  t.ok((await untilEcho(source, 5_000)).came)
  await first.stop()
  await echoAt(t, network.b, '127.0.0.2')
  move('127.0.0.2')
  const { came, ms } = await untilEcho(source, 10_000)
  t.ok(came, `the connection finds it after ${ms.toFixed()} ms`)
  t.equal(accepted(server), 1)
})

for (const { family, old, next } of [
  { family: 'IPv4', old: '10.72.0.50', next: '10.72.0.51' },
  { family: 'IPv6', old: 'fd72::50', next: 'fd72::51' },
]) {
  const prefix = family === 'IPv4' ? 24 : 64
  const near = family === 'IPv4' ? '10.72.0.2' : 'fd72::2'
  const other = family === 'IPv4' ? '10.72.0.3' : 'fd72::3'

  t.test(`${family}: the name of the service moves, and the old address is silent`, async t => {
    const far = await createThird(t, network.b)
    address(network.b, 'add', `${near}/${prefix}`, third.near)
    address(far, 'add', `${old}/${prefix}`, third.far)
    await echoAt(t, far, old)
    move(old)
    const server = await startNamedServer(t)
    await startClient(t, network.a)
    const source = await UdpSource.open(t)
    t.ok((await untilEcho(source, 5_000)).came)
    address(far, 'add', `${next}/${prefix}`, third.far)
    await echoAt(t, far, next)
    address(far, 'delete', `${old}/${prefix}`, third.far)
    move(next)
    const { came, ms } = await untilEcho(source, 20_000)
    t.ok(came, `the connection finds it after ${ms.toFixed()} ms`)
    t.equal(accepted(server), 1)
  })

  t.test(`${family}: the server's machine gets another address`, async t => {
    const far = await createThird(t, network.b)
    address(network.b, 'add', `${near}/${prefix}`, third.near)
    address(far, 'add', `${old}/${prefix}`, third.far)
    await echoAt(t, far, old)
    const server = await startServer(t, network.b, {
      remote: `${old.includes(':') ? `[${old}]` : old}:${ports.service}`,
    })
    await startClient(t, network.a)
    const source = await UdpSource.open(t)
    t.ok((await untilEcho(source, 5_000)).came)
    address(network.b, 'delete', `${near}/${prefix}`, third.near)
    address(network.b, 'add', `${other}/${prefix}`, third.near)
    const { came, ms } = await untilEcho(source, 20_000)
    t.ok(came && ms < (family === 'IPv4' ? 2_000 : 10_000), `heals after ${ms.toFixed()} ms`)
    t.equal(accepted(server), 1)
  })
}

t.test('no way to the service for a while', async t => {
  const far = await createThird(t, network.b)
  address(far, 'add', '10.72.0.50/24', third.far)
  await echoAt(t, far, '10.72.0.50')
  const server = await startServer(t, network.b, { remote: `10.72.0.50:${ports.service}` })
  await startClient(t, network.a)
  const source = await UdpSource.open(t)
  t.notOk((await untilEcho(source, 1_500)).came)
  await server.until(() => server.times('service-unreachable') > 0, 'a warning')
  address(network.b, 'add', '10.72.0.2/24', third.near)
  t.ok((await untilEcho(source, 6_000)).came)
  network.b.command(['ip', 'route', 'add', 'prohibit', '10.72.0.50/32'])
  t.notOk((await untilEcho(source, 1_000)).came)
  network.b.command(['ip', 'route', 'delete', 'prohibit', '10.72.0.50/32'])
  t.ok((await untilEcho(source, 6_000)).came)
  t.equal(accepted(server), 1, 'the same connection')
})

t.test('a link-local service', async t => {
  const far = await createThird(t, network.b)
  address(far, 'add', 'fe80::50/64', third.far)
  await echoAt(t, far, `fe80::50%${third.far}`)
  const server = await startServer(t, network.b, { remote: `[fe80::50%${third.near}]:${ports.service}` })
  await startClient(t, network.a)
  const source = await UdpSource.open(t)
  t.ok((await untilEcho(source, 8_000)).came)
  t.equal(accepted(server), 1)
})
