/** The tunnel over time: idle connections, programs that come and go, a wire that breaks, an interface that is taken away. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type Child, stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { startClient, startServer, tuns } from './support/programs.js'
import { recorded, startService, UdpSource } from './support/udp.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

const count = (child: Child, words: string): number => child.stderr.split(words).length - 1

/** Sends a word every 100 ms until the echo of one is back; how many it took. */
const knock = async (source: UdpSource, word: string, patience = 5_000): Promise<number> => {
  const before = source.received.length
  for (let sent = 1; sent * 100 < patience; sent++) {
    source.send(`${word} ${sent}`)
    await sleep(100)
    if (source.received.length > before) return sent
  }
  throw new Error(`no answer to ${word} within ${patience} ms`)
}

t.test('idle connections are closed, busy ones are not', async t => {
  await startService(t, network.b, 4)
  const server = await startServer(t, network.b)
  const client = await startClient(t, network.a, { flags: ['--idle-timeout', '2'] })
  const [idle, busy] = [await UdpSource.open(t), await UdpSource.open(t)]
  idle.send('hello')
  await idle.until(1)
  const start = performance.now()
  while (count(client, '"idle connection closed"') === 0 && performance.now() - start < 6_000) {
    busy.send('still here')
    await sleep(200)
  }
  const took = performance.now() - start
  t.ok(took > 1_900 && took < 3_600, `closed after ${took.toFixed()} ms`)
  await server.until(() => count(server, '"connection closed"') === 1, 'the news', 1)
  t.equal(count(client, '"new UDP client"'), 2, 'the busy one lives on')
  await sleep(500)
  t.equal(count(client, '"connection closed"'), 1)
  idle.send('again')
  await idle.until(2)
  t.equal(idle.texts[1], 'again', 'a new connection')
  t.equal(count(server, '"connection accepted"'), 3)
})

t.test('the server closes idle connections too', async t => {
  await startService(t, network.b, 4)
  const server = await startServer(t, network.b, { flags: ['--idle-timeout', '1'] })
  const client = await startClient(t, network.a)
  const source = await UdpSource.open(t)
  source.send('hello')
  await source.until(1)
  await client.until(() => count(client, '"connection closed"') === 1, 'end of the connection', 4)
  t.equal(count(server, '"idle connection closed"'), 1)
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
    if (signal === 'SIGTERM') await client.until(() => count(client, '"connection closed"') === 1, 'goodbye', 2)
    await startServer(t, network.b)
    const sent = await knock(source, 'back')
    // Without a goodbye the first datagram is answered by RST, and one sent before that is lost too.
    const most = signal === 'SIGTERM' ? 1 : 3
    t.ok(sent <= most, `datagram ${sent} was answered`)
    t.equal(count(client, '"new UDP client"'), 2)
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
  t.equal(count(server, '"connection accepted"'), 2)
})

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
  t.equal(count(client, '"new UDP client"'), 1, 'the connection lived through it')
  t.equal(count(server, '"connection closed"'), 0)
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
  t.ok((await knock(source, 'back')) <= 10)
  t.equal(count(client, '"new UDP client"'), 1, 'the same connection')
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
    const errors = child.stderr.split('\n').filter(line => line.includes('"level":50'))
    t.equal(errors.length, 1, 'one error')
    t.match(errors[0], new RegExp(`The device ${tun} is gone: it was removed under the stack`, 'u'))
  })
}
