/** The tunnel as its users see it: many sources at once, every kind of address, every option of its engine. */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type Child, stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { needs } from '../support/inside.js'
import { type Family, loopback, ports, startClient, startServer } from '../support/programs.js'
import { exchange, randomDatagrams, recorded, startService, UdpSource } from '../support/udp-source.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

const openSources = (t: Test, n: number): Promise<UdpSource[]> =>
  Promise.all(Array.from({ length: n }, () => UdpSource.open(t)))
/** 'source:datagram' */
const word = (source: number, datagram: number): string => `${source}:${datagram}`
const words = (source: number): string[] => [0, 1, 2].map(datagram => word(source, datagram))
/** What the service got from each source. */
const perSource = (service: Child, sources: number): string[][] => {
  const texts = recorded(service).map(({ data }) => String(data))
  return Array.from({ length: sources }, (_, i) => texts.filter(text => text.startsWith(`${i}:`)))
}

t.test('new sources, all at once', async t => {
  const service = await startService(t, network.b, 4, '--record')
  const server = await startServer(t, network.b)
  const client = await startClient(t, network.a)
  const sources = await openSources(t, 200)
  for (const [i, source] of sources.entries()) for (const text of words(i)) source.send(text)
  await Promise.all(sources.map(source => source.until(3)))
  const wanted = sources.map((_, i) => words(i))
  t.same(perSource(service, 200), wanted, 'everything came to the service, in order')
  t.same(
    sources.map(source => source.texts),
    wanted,
    'and back',
  )
  t.equal(new Set(recorded(service).map(({ from }) => from)).size, 200, 'from one port each')
  // What the log folds comes within seconds.
  await client.until(() => client.times('source-new') >= 200, 'all sources in the log')
  await server.until(() => server.times('connection-accepted') >= 200, 'all connections in the log')
  t.equal(client.times('source-new'), 200)
  t.equal(server.times('connection-accepted'), 200)
})

t.test('handshakes do not wait for each other', { skip: needs.nft() ?? false }, async t => {
  const service = await startService(t, network.b, 4, '--record')
  await startServer(t, network.b)
  await startClient(t, network.a)
  // Every second local port has no way to the server.
  const drop = 'tcp flags & (syn | ack) == syn tcp sport & 1 == 1 drop'
  network.a.command(['nft', `table inet odd { chain odd { type filter hook prerouting priority 0; ${drop}; }; }`])
  const sources = await openSources(t, 60)
  const start = performance.now()
  for (const [i, source] of sources.entries()) for (const text of words(i)) source.send(text)
  // One after the other, they would be stuck at the first of these.
  const open = () => sources.filter(source => source.received.length === 3).length
  while (open() < 10 && performance.now() - start < 4_000) await sleep(20)
  await sleep(300)
  const early = open()
  t.ok(early >= 10 && early <= 50, `${early} of 60 are open after ${(performance.now() - start).toFixed()} ms`)
  network.a.command(['nft', 'delete table inet odd'])
  await Promise.all(sources.map(source => source.until(3)))
  t.comment(`all after ${(performance.now() - start).toFixed()} ms`)
  t.same(
    perSource(service, 60),
    sources.map((_, i) => words(i)),
    'what waited came in order',
  )
})

t.test('options of the engine', async t => {
  await startService(t, network.b, 4)
  const cases = [
    ['--queues', '1'],
    ['--queues', '2'],
    ['--queues', '4'],
    ['--no-offload'],
    ['--no-offload', '--queues', '1'],
    ['--coalesce-us', '500'],
    ['--coalesce-us', '2000', '--no-offload'],
  ]
  for (const flags of [...cases, ['--mtu', '1280'], ['--ipv4-only']]) {
    await t.test(flags.join(' '), async t => {
      await startServer(t, network.b, { flags })
      await startClient(t, network.a, { flags })
      const sources = await openSources(t, 3)
      const largest = flags.includes('1280') ? 1_240 : 1_460
      const sizes = Array.from({ length: 400 }, (_, i) => 16 + ((i * 811) % (largest - 15)))
      const mixed = sources.map(() => randomDatagrams([largest, ...sizes, ...Array(200).fill(1_200)]))
      t.equal(await exchange(sources, mixed, 48), undefined, 'mixed sizes in bursts')
    })
  }
})

t.test('addresses', async t => {
  const cases: { name: string; service: string; remote: string; local: string; family: Family; hosts: string[] }[] = [
    {
      name: 'two addresses of one client',
      service: loopback[4],
      remote: `127.0.0.1:${ports.service}`,
      local: '0.0.0.0',
      family: 4,
      hosts: ['127.0.0.1', '127.0.0.2', '10.71.0.1'],
    },
    {
      name: 'two IPv6 addresses of one client',
      service: loopback[6],
      remote: `[::1]:${ports.service}`,
      local: '[::]',
      family: 6,
      hosts: ['::1', 'fd71::1'],
    },
    {
      name: 'a host name, and IPv6 into IPv4',
      service: '[::]',
      remote: `localhost:${ports.service}`,
      local: '[::1]',
      family: 6,
      hosts: ['::1'],
    },
  ]
  for (const { name, service: listen, remote, local, family, hosts } of cases) {
    await t.test(name, async t => {
      await startService(t, network.b, listen)
      await startServer(t, network.b, { remote })
      await startClient(t, network.a, { local: `${local}:${ports.client}` })
      for (const host of hosts) {
        const source = await UdpSource.open(t, family, host)
        for (const text of words(0)) source.send(text)
        await source.until(3)
        t.same(source.texts, words(0))
        t.same([...new Set(source.from)], [`${host} ${ports.client}`], `answers leave from ${host}`)
      }
    })
  }
})

t.test('datagrams that no segment can carry', async t => {
  await startService(t, network.b, 4, '--record')
  await startServer(t, network.b)
  const client = await startClient(t, network.a)
  const [first, second] = await openSources(t, 2)
  const big = (size: number) => Buffer.alloc(size, 7)
  // Before the connection is open, after it, and as the first one of all.
  for (const datagram of [big(1_461), 'one', big(1_460), '']) first.send(datagram)
  await first.until(2)
  for (const datagram of [big(1_461), big(65_507), '', 'two']) first.send(datagram)
  await first.until(3)
  second.send(big(5_000))
  second.send('three')
  await second.until(1)
  t.same(first.received, [Buffer.from('one'), big(1_460), Buffer.from('two')])
  t.same(second.texts, ['three'])
  await client.stop()
  const dropped = client.logged('stopped')[0]?.dropped
  t.match(dropped, { oversizeDatagram: 4, emptyDatagram: 2 }, 'what was dropped is counted')
})
