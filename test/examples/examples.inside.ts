/** The examples over TUN interfaces, one end in each of two namespaces. */
import t from 'tap'
import { type Child, stopAll } from '../../src/lab/child.js'
import { addresses, createNetwork } from '../../src/lab/network.js'
import { endWith } from '../support/programs.js'
import { startService, UdpSource } from '../support/udp-source.js'
import { example } from './run.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

const seconds = 60
const says = (child: Child, words: string): Promise<void> => child.until(() => child.stdout.includes(words), words)

t.test('a client and a server', async t => {
  const server = endWith(t, network.b.run(example('tun-server'), { name: 'tun-server', seconds }))
  await says(server, `listening at ${addresses.b.tunPeer} port 4567, interface tun`)
  const client = endWith(t, network.a.run(example('tun-client', addresses.b.tunPeer), { name: 'tun-client', seconds }))
  t.equal(await client.ended, 0)
  t.same(client.stdout, 'HELLO\nOVER\nFAKE TCP\n')
  t.equal(client.stderr, '')
  await says(server, 'is gone: reset, 3 datagrams came')
  const stranger = endWith(
    t,
    network.a.run(example('tun-client', addresses.b.tunPeer, '4568'), { name: '4568', seconds }),
  )
  t.equal(await stranger.ended, 1)
  t.equal(stranger.stderr, 'Nobody listens there.\n')
  await server.stop()
  t.equal(await server.ended, 0)
  t.equal(server.stderr, '')
})

t.test('a tunnel in a program', async t => {
  await startService(t, network.b, 4)
  const server = endWith(
    t,
    network.b.run(example('tunnel', 'server', '4567', '127.0.0.1:4600'), { name: 'tunnel server', seconds }),
  )
  await says(server, 'to 127.0.0.1:4600')
  const remote = `${addresses.b.tunPeer}:4567`
  const client = endWith(
    t,
    network.a.run(example('tunnel', 'client', '127.0.0.1:4500', remote), { name: 'tunnel client', seconds }),
  )
  await says(client, `to ${remote}`)
  const source = await UdpSource.open(t)
  source.send('through the tunnel')
  await source.until(1)
  t.same(source.texts, ['through the tunnel'])
  await Promise.all([client.stop(), server.stop()])
  for (const child of [client, server]) {
    t.equal(await child.ended, 0)
    t.equal(child.stderr, '')
    t.match(child.stdout, /datagrams: 1 in, 1 out/)
  }
})
