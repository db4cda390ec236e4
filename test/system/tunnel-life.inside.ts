/** The tunnel over time: idle connections, clients and servers that come and go. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { startClient, startServer } from '../support/programs.js'
import { startService, UdpSource } from '../support/udp-source.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

t.test('idle connections are closed, busy ones are not', async t => {
  await startService(t, network.b, 4)
  const server = await startServer(t, network.b)
  const client = await startClient(t, network.a, { flags: ['--idle-timeout', '2'] })
  const [idle, busy] = [await UdpSource.open(t), await UdpSource.open(t)]
  idle.send('hello')
  await idle.until(1)
  const traffic = setInterval(() => busy.send('still here'), 100)
  t.teardown(() => clearInterval(traffic))
  const start = performance.now()
  await client.until(() => client.times('connection-idle') > 0, 'end of the idle connection')
  t.ok(performance.now() - start > 1_800, `closed after ${(performance.now() - start).toFixed()} ms`)
  await server.until(() => server.times('connection-closed') === 1, 'the news', 1)
  t.equal(client.times('source-new'), 2, 'the busy one lives on')
  await sleep(500)
  t.equal(client.times('connection-closed'), 1)
  idle.send('again')
  await idle.until(2)
  t.equal(idle.texts[1], 'again', 'a new connection')
  t.equal(server.times('connection-accepted'), 3)
})

t.test('the server closes idle connections too', async t => {
  await startService(t, network.b, 4)
  const server = await startServer(t, network.b, { flags: ['--idle-timeout', '1'] })
  const client = await startClient(t, network.a)
  const source = await UdpSource.open(t)
  source.send('hello')
  await source.until(1)
  await client.until(() => client.times('connection-closed') === 1, 'end of the connection', 4)
  t.equal(server.times('connection-idle'), 1)
  source.send('again')
  await source.until(2)
  t.equal(source.texts[1], 'again')
})

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  t.test(`the server restarts (${signal})`, async t => {
    await startService(t, network.b, 4)
    const client = await startClient(t, network.a)
    const first = await startServer(t, network.b)
    const source = await UdpSource.open(t)
    source.send('hello')
    await source.until(1)
    first.process.kill(signal)
    await first.ended
    // With a goodbye the client knows at once, else when the new server answers with RST what it knows nothing of.
    if (signal === 'SIGKILL') {
      await startServer(t, network.b)
      source.send('is anyone there?')
    }
    await client.until(() => client.times('connection-closed') === 1, 'end of the connection')
    if (signal === 'SIGTERM') await startServer(t, network.b)
    source.send('back')
    // The client's own late ACK may have met the new server first: then the datagram before this one came through too.
    await source.until(2)
    if (source.texts[1] !== 'back') await source.until(3)
    t.equal(source.texts.at(-1), 'back')
    t.equal(client.times('source-new'), 2)
  })
}

t.test('the client restarts while its server remembers', async t => {
  await startService(t, network.b, 4)
  const server = await startServer(t, network.b)
  const first = await startClient(t, network.a)
  const source = await UdpSource.open(t)
  source.send('hello')
  await source.until(1)
  first.process.kill('SIGKILL')
  await first.ended
  await startClient(t, network.a)
  source.send('again')
  await source.until(2)
  t.same(source.texts, ['hello', 'again'])
  t.equal(server.times('connection-accepted'), 2)
})
