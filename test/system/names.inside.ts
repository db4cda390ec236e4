/** The server has a name, and the name moves: the client asks again; and of several addresses the one that answers counts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { addresses, createNetwork } from '../../src/lab/network.js'
import {
  cli,
  endWith,
  loopback,
  ports,
  startClient as startPlainClient,
  startServer,
  tuns,
} from '../support/programs.js'
import { knock, startService, UdpSource } from '../support/udp-source.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))
const folder = mkdtempSync(join(tmpdir(), 'fake-tcp-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const hosts = join(folder, 'hosts')
const name = 'tunnel.test'

/** What the name stands for from now on, for clients that `startClient` started. */
const move = (...to: string[]): void => writeFileSync(hosts, to.map(address => `${address} ${name}\n`).join(''))

/** A client with a mount namespace of its own, in which our file is /etc/hosts. */
const startClient = async (t: Test) => {
  const flags = ['--local', `${loopback[4]}:${ports.client}`, '--remote', `${name}:${ports.server}`, '--tun', tuns.a]
  const script = `mount --bind ${hosts} /etc/hosts && exec "$@"`
  const command = ['unshare', '--mount', 'sh', '-c', script, 'sh', ...cli, 'client', ...flags]
  const client = endWith(t, network.a.run(command, { name: 'client', seconds: 60 }))
  await client.until(() => client.times('ready') > 0, 'readiness', 20)
  return client
}

const nobody = ['192.168.201.77', 'fcc9::77'] as const

t.test('the name has moved', async t => {
  await startService(t, network.b, 4)
  await startServer(t, network.b)
  move(nobody[0])
  const client = await startClient(t)
  const source = await UdpSource.open(t)
  source.send('into the void')
  move(addresses.b.tunPeer)
  await client.until(() => client.times('server-unreachable') > 0, 'a failed attempt', 20)
  await knock(source, 'hello')
})

t.test('a name that does not resolve yet', async t => {
  await startService(t, network.b, 4)
  await startServer(t, network.b)
  move()
  const client = await startClient(t)
  t.match(client.logged('name-unresolved')[0]?.msg, /^The name tunnel\.test of --remote does not resolve \(\w+\): /)
  const source = await UdpSource.open(t)
  for (const word of ['one', 'two', 'three']) source.send(word)
  move(addresses.b.tunPeer)
  await source.until(3, 10_000)
  t.same(source.texts, ['one', 'two', 'three'], 'what was sent meanwhile')
  t.equal(client.times('name-unresolved'), 1, 'said once')
  t.equal(client.times('name-resolved'), 1)
})

t.test('a server whose service has no address yet', async t => {
  await startService(t, network.b, 4)
  move()
  const script = `mount --bind ${hosts} /etc/hosts && exec "$@"`
  const flags = ['--local', String(ports.server), '--remote', `${name}:${ports.service}`, '--tun', tuns.b]
  const command = ['unshare', '--mount', 'sh', '-c', script, 'sh', ...cli, 'server', ...flags]
  const server = endWith(t, network.b.run(command, { name: 'server', seconds: 60 }))
  await server.until(() => server.times('ready') > 0, 'readiness', 20)
  await startPlainClient(t, network.a)
  const source = await UdpSource.open(t)
  source.send('too early')
  await server.until(() => server.times('connection-accepted') > 0, 'a connection')
  move('127.0.0.1')
  await knock(source, 'hello')
  t.equal(server.times('connection-accepted'), 1)
})

t.test('of several addresses the one that answers', async t => {
  await startService(t, network.b, 4)
  await startServer(t, network.b)
  move(nobody[1], addresses.b.tunPeer, nobody[0])
  const client = await startClient(t)
  const source = await UdpSource.open(t)
  await knock(source, 'hello')
  t.equal(client.times('server-unreachable'), 0, 'long before an attempt is given up')
})
