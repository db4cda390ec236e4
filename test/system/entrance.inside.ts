/** Where the client takes datagrams: every kind of address, some of which come late or go. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type Child, stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { cli, endWith, ports, stackOfB, startClient, startServer, tuns } from '../support/programs.js'
import { address } from '../support/third.js'
import { knock, recorded, startService, UdpSource } from '../support/udp-source.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

/** A client that need not be able to take datagrams yet. */
const startLateClient = async (t: Test, local: string): Promise<Child> => {
  const flags = ['--local', local, '--remote', `${stackOfB[4]}:${ports.server}`, '--tun', tuns.a, '--queues', '2']
  const client = endWith(t, network.a.run([...cli, 'client', ...flags], { name: 'client', seconds: 60 }))
  await client.until(() => client.times('ready') > 0, 'readiness', 20)
  return client
}

t.test('an IPv4 source of a client that listens at [::]', async t => {
  await startService(t, network.b, 4)
  await startServer(t, network.b)
  const client = await startClient(t, network.a, { local: `[::]:${ports.client}` })
  await knock(await UdpSource.open(t), 'hello')
  t.match(client.stderr, /"source":"127\.0\.0\.1:\d+"/)
})

for (const local of ['0.0.0.0', '[::]']) {
  t.test(`${local}: a broadcast is carried once, and answered once`, async t => {
    const service = await startService(t, network.b, 4, '--record')
    await startServer(t, network.b, { flags: ['--queues', '3'] })
    await startClient(t, network.a, { local: `${local}:${ports.client}`, flags: ['--queues', '3'] })
    const socket = createSocket('udp4')
    t.teardown(() => socket.close())
    const answers: string[] = []
    socket.on('message', (datagram, from) => answers.push(`${datagram} ${from.address}`))
    socket.bind(0)
    await once(socket, 'listening')
    socket.setBroadcast(true)
    socket.send('to all', ports.client, '10.71.0.255')
    for (let i = 0; i < 100 && answers.length === 0; i++) await sleep(20)
    await sleep(500)
    t.same(
      recorded(service).map(({ data }) => String(data)),
      ['to all'],
    )
    t.same(answers, ['to all 10.71.0.1'], 'from an address of the machine')
  })
}

t.test('so is an IPv6 multicast', async t => {
  const service = await startService(t, network.b, 4, '--record')
  await startServer(t, network.b)
  const client = await startClient(t, network.a, { local: `[::]:${ports.client}`, flags: ['--queues', '3'] })
  const socket = createSocket('udp6')
  t.teardown(() => socket.close())
  const answers: string[] = []
  socket.on('message', (datagram, from) => answers.push(`${datagram} ${from.address}`))
  socket.bind(0)
  await once(socket, 'listening')
  socket.send('to all', ports.client, `ff02::1%${network.vethA}`)
  for (let i = 0; i < 100 && answers.length === 0; i++) await sleep(20)
  await sleep(500)
  t.same(
    recorded(service).map(({ data }) => String(data)),
    ['to all'],
  )
  t.match(answers, [/^to all fe80::/])
  t.match(client.stderr, new RegExp(`"source":"\\[fe80::[^\\]]+%${network.vethA}\\]`, 'u'), 'with its zone')
})

t.test('a link-local address, of an interface that comes later, and is made anew', async t => {
  await startService(t, network.b, 4)
  await startServer(t, network.b)
  const client = await startLateClient(t, `[fe80::1%br-lan.7]:${ports.client}`)
  t.match(
    client.stderr,
    /br-lan\.7\]:4500 names a network interface that this machine does not have\. The client waits/,
  )
  const make = () => {
    network.a.command(['ip', 'link', 'add', 'br-lan.7', 'type', 'veth', 'peer', 'name', 'lan-end'])
    network.a.command(['sysctl', '-qw', 'net.ipv6.conf.br-lan/7.accept_dad=0'])
    for (const name of ['br-lan.7', 'lan-end']) network.a.command(['ip', 'link', 'set', name, 'up'])
    address(network.a, 'add', 'fe80::1/64', 'br-lan.7')
  }
  t.teardown(() => network.a.command(['ip', 'link', 'delete', 'br-lan.7']))
  make()
  await client.until(() => client.times('entrance-open') === 1, 'a socket', 10)
  const source = await UdpSource.open(t, 6, 'fe80::1%br-lan.7')
  await knock(source, 'hello')
  t.match(source.from[0], /^fe80::1%br-lan\.7 4500$/)
  network.a.command(['ip', 'link', 'delete', 'br-lan.7'])
  make()
  await client.until(() => client.times('entrance-open') === 2, 'another socket', 10)
  await knock(await UdpSource.open(t, 6, 'fe80::1%br-lan.7'), 'again')
})

t.test('an address that comes later', async t => {
  await startService(t, network.b, 4)
  await startServer(t, network.b)
  const client = await startLateClient(t, `10.74.0.1:${ports.client}`)
  const [waiting] = client.logged('entrance-waiting')
  t.match(waiting?.msg, /has an address that this machine does not have\. The client waits for it\.$/)
  await sleep(1_000)
  address(network.a, 'add', '10.74.0.1/32', 'lo')
  t.teardown(() => address(network.a, 'delete', '10.74.0.1/32', 'lo'))
  await client.until(() => client.times('entrance-open') > 0, 'a socket', 8)
  await sleep(500)
  const source = await UdpSource.open(t, 4, '10.74.0.1')
  await knock(source, 'hello')
  t.match(source.from[0], /^10\.74\.0\.1 /)
  t.equal(client.logged().filter(({ level }) => level === 40).length, 1, 'one warning')
})

t.test('the address that a source has used is gone: answers leave from another one', async t => {
  // We are the service, so that we can answer when we like.
  const service = createSocket('udp4')
  t.teardown(() => service.close())
  service.bind(ports.service, '10.71.0.1')
  await once(service, 'listening')
  await startServer(t, network.b, { remote: `10.71.0.1:${ports.service}` })
  await startClient(t, network.a, { local: `0.0.0.0:${ports.client}` })
  address(network.a, 'add', '10.74.0.1/32', 'lo')
  const source = createSocket('udp4')
  t.teardown(() => source.close())
  const answers: string[] = []
  source.on('message', (datagram, from) => answers.push(`${datagram} ${from.address}`))
  source.bind(0, '10.71.0.1')
  await once(source, 'listening')
  const asked = once(service, 'message') as Promise<[Buffer, { address: string; port: number }]>
  source.send('a question', ports.client, '10.74.0.1')
  const [, from] = await asked
  const reply = async (text: string) => {
    service.send(text, from.port, from.address)
    for (let i = 0; i < 100 && !answers.some(answer => answer.startsWith(text)); i++) await sleep(20)
  }
  await reply('before')
  address(network.a, 'delete', '10.74.0.1/32', 'lo')
  await reply('after')
  t.same(answers, ['before 10.74.0.1', 'after 10.71.0.1'])
})

t.test('a link-local server is out of reach, and that is said', async t => {
  const flags = ['--local', `127.0.0.1:${ports.client}`, '--remote', `[fe80::1%${network.vethA}]:4567`]
  const client = endWith(t, network.a.run([...cli, 'client', ...flags], { name: 'client', seconds: 20 }))
  t.equal(await client.ended, 2)
  t.match(client.stderr, /--remote is a link-local address, and the TUN interface is a link of its own/)
})
