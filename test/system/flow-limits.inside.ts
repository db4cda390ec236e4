/** Many flows: they have a limit, and leave the machine's other programs their ports. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type Child, stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { loopback, ports, startClient, startServer } from '../support/programs.js'
import { knock, recorded, startService, UdpSource } from '../support/udp-source.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

const openSources = (t: Parameters<typeof UdpSource.open>[0], n: number) =>
  Promise.all(Array.from({ length: n }, () => UdpSource.open(t)))
const summary = (child: Child) => (child.logged('stopped')[0]?.dropped ?? {}) as Record<string, number>

/** A program that sends from sockets that it did not bind: how many it can have at once. */
const unbound = `
import { createSocket } from 'node:dgram'
let sent = 0
const sockets = Array.from({ length: 8 }, () => createSocket('udp4'))
await Promise.all(sockets.map(socket => new Promise(resolve => {
  socket.on('error', resolve)
  socket.send('x', 9, '127.0.0.1', error => { if (!error) sent++; resolve() })
})))
console.log(JSON.stringify(sent))
for (const socket of sockets) socket.close()
`

for (const family of [4, 6] as const) {
  t.test(`IPv${family}: hundreds of flows leave the ephemeral ports to others`, async t => {
    const range = (text: string) => network.b.command(['sysctl', '-qw', `net.ipv4.ip_local_port_range=${text}`])
    range('40000 40009')
    t.teardown(() => range('32768 60999'))
    const service = await startService(t, network.b, family, '--record')
    await startServer(t, network.b, { remote: `${loopback[family]}:${ports.service}` })
    await startClient(t, network.a)
    const sources = await openSources(t, 300)
    for (const source of sources) source.send('hello')
    await Promise.all(sources.map(source => source.until(1)))
    const used = recorded(service).map(({ from }) => Number(from.split(' ')[1]))
    t.equal(new Set(used).size, 300)
    t.ok(used.every(port => port > 40_009 || (port < 40_000 && port >= 10_000)))
    const command = [process.execPath, '--input-type=module', '-e', unbound]
    const other = network.b.run(command, { name: 'another program', seconds: 20 })
    t.equal(await other.json(), 8, 'another program can send')
  })
}

t.test('--max-flows: whoever is silent for longest makes room', async t => {
  await startService(t, network.b, 4)
  const server = await startServer(t, network.b, { flags: ['--max-flows', '20'] })
  const client = await startClient(t, network.a)
  const first = await openSources(t, 20)
  for (const source of first) source.send('hello')
  await Promise.all(first.map(source => source.until(1)))
  const [refused] = await openSources(t, 1)
  for (let i = 0; i < 10; i++) {
    refused.send('anyone?')
    await sleep(100)
  }
  t.equal(refused.received.length, 0, 'nobody is silent for long enough')
  await sleep(5_000)
  await knock(refused, 'now')
  t.ok(refused.received.length > 0)
  await server.stop()
  t.match(summary(server), { flowRefused: /^[1-9]/, flowEvicted: /^[1-9]/ })
  t.ok(summary(server).flowRefused <= 8, `${summary(server).flowRefused} attempts`)
  const lines = server.logged('flows-full').length
  t.ok(lines >= 1 && lines <= 5, `${lines} lines`)
  t.ok(client.running)
})

t.test('--max-flows of a client', async t => {
  await startService(t, network.b, 4)
  await startServer(t, network.b)
  const client = await startClient(t, network.a, { flags: ['--max-flows', '10', '--queues', '2'] })
  const sources = await openSources(t, 30)
  for (let i = 0; i < 3; i++) {
    for (const source of sources) source.send('hello')
    await sleep(100)
  }
  const served = () => sources.filter(({ received }) => received.length > 0).length
  await sleep(500)
  // Both workers may admit a flow at the same moment.
  t.ok(served() >= 10 && served() <= 11, `${served()} are served`)
  await sleep(5_500)
  for (const source of sources.filter(({ received }) => received.length === 0).slice(0, 5)) await knock(source, 'now')
  await client.stop()
  t.match(summary(client), { flowRefused: /^[1-9]/, flowEvicted: /^[1-9]/ })
})

t.test('a server that refuses: attempts with pauses, few lines', async t => {
  // Nobody listens on that port of B's kernel, which answers with RST.
  const client = await startClient(t, network.a, { remote: `10.71.0.2:${ports.server}` })
  const source = await UdpSource.open(t)
  for (let i = 0; i < 300; i++) {
    for (let j = 0; j < 10; j++) source.send('anyone?')
    await sleep(10)
  }
  const lines = client.stderr.trim().split('\n').length
  t.ok(lines <= 4, `${lines} lines`)
  await client.stop()
  const { connectFailed, heldFull } = summary(client)
  t.ok(connectFailed >= 3 && connectFailed <= 8, `${connectFailed} attempts in some 3 s`)
  t.ok(heldFull > 1_000, 'what does not fit is counted')
})
