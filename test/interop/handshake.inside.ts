/** `--handshake-packet`: each side's file is the first datagram that the other side's application gets. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { startClient, startServer } from '../support/programs.js'
import { recorded, startService, UdpSource } from '../support/udp-source.js'
import { pairName, pairs } from './pairs.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))
const folder = mkdtempSync(join(tmpdir(), 'fake-tcp-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const greetings = { client: randomBytes(1_200), server: randomBytes(300) }
const path = (role: 'client' | 'server'): string => join(folder, role)
writeFileSync(path('client'), greetings.client)
writeFileSync(path('server'), greetings.server)
const flags = (role: 'client' | 'server') => ['--handshake-packet', path(role)]

for (const pair of pairs) {
  t.test(pairName(pair), async t => {
    const service = await startService(t, network.b, 4, '--record', '--mute')
    await startServer(t, network.b, { kind: pair.server, flags: flags('server') })
    await startClient(t, network.a, { kind: pair.client, flags: flags('client') })
    for (const word of ['one', 'two']) {
      const source = await UdpSource.open(t)
      const before = recorded(service).length
      source.send(word)
      await source.until(1)
      await service.until(() => recorded(service).length >= before + 2, 'two datagrams')
      t.same(source.received, [greetings.server], 'the client’s application')
      const there = recorded(service)
        .slice(before)
        .map(({ data }) => data)
      // A stock receiver may swap datagrams that follow each other closely.
      if (pair.server === 'phantun') there.sort((x, y) => y.length - x.length)
      t.same(there, [greetings.client, Buffer.from(word)], 'the service')
    }
  })
}
