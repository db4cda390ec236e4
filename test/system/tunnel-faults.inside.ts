/** The tunnel in trouble: no UDP service, a wire that breaks, an interface that is taken away. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { startClient, startServer, tuns } from '../support/programs.js'
import { knock, recorded, startService, UdpSource } from '../support/udp-source.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

t.test('the UDP service comes late, and comes back', async t => {
  const server = await startServer(t, network.b)
  const client = await startClient(t, network.a)
  const source = await UdpSource.open(t)
  for (let i = 0; i < 20; i++) {
    source.send('anyone?')
    await sleep(10)
  }
  for (const word of ['first', 'second']) {
    const service = await startService(t, network.b, 4, '--record')
    await knock(source, word)
    const texts = recorded(service).map(({ data }) => String(data))
    t.match(texts[0], word, 'what came before is not kept')
    await service.stop()
    for (let i = 0; i < 5; i++) source.send('gone?')
    await sleep(50)
  }
  t.equal(client.times('source-new'), 1, 'the connection lived through it')
  t.equal(server.times('connection-closed'), 0)
})

t.test('the wire breaks for a while', async t => {
  await startService(t, network.b, 4)
  await startServer(t, network.b)
  const client = await startClient(t, network.a)
  const source = await UdpSource.open(t)
  source.send('hello')
  await source.until(1)
  network.b.command(['ip', 'link', 'set', network.vethB, 'down'])
  for (let i = 0; i < 50; i++) {
    source.send(Buffer.alloc(1_400))
    await sleep(10)
  }
  network.b.command(['ip', 'link', 'set', network.vethB, 'up'])
  network.b.command(['ip', 'route', 'replace', '192.168.200.0/24', 'via', '10.71.0.1'])
  await knock(source, 'back')
  t.equal(client.times('source-new'), 1, 'the same connection')
})

for (const role of ['client', 'server'] as const) {
  t.test(`the interface of the ${role} is taken away`, async t => {
    await startService(t, network.b, 4)
    const server = await startServer(t, network.b)
    const client = await startClient(t, network.a)
    const source = await UdpSource.open(t)
    source.send('hello')
    await source.until(1)
    const [side, child, tun] = role === 'client' ? [network.a, client, tuns.a] : [network.b, server, tuns.b]
    const start = performance.now()
    side.command(['ip', 'link', 'delete', tun])
    t.equal(await child.ended, 1, 'exit code')
    t.ok(performance.now() - start < 2_000, 'at once')
    const errors = child.logged().filter(({ level }) => level === 50)
    t.match(errors, [{ event: 'device-lost', msg: `The device ${tun} is gone: it was removed under the stack.` }])
    t.equal(errors.length, 1, 'one error')
  })
}
