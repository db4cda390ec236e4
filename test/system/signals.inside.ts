/** SIGINT and SIGTERM: the program says goodbye to every peer, removes its interface and exits 0, within two seconds. */
import t from 'tap'
import { type Child, stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { startClient, startServer, tuns } from './support/programs.js'
import { exchange, randomDatagrams, startService, UdpSource } from './support/udp.js'

const connections = 5
const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

const count = (child: Child, words: string): number => child.stderr.split(words).length - 1

for (const role of ['client', 'server'] as const) {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    t.test(`${signal} to the ${role}`, async t => {
      await startService(t, network.b, 4)
      const server = await startServer(t, network.b)
      const client = await startClient(t, network.a)
      const sources = await Promise.all(Array.from({ length: connections }, () => UdpSource.open(t)))
      const datagrams = sources.map(() => randomDatagrams(Array(20).fill(1_000)))
      t.equal(await exchange(sources, datagrams, 4), undefined)

      const [side, ended, other, tun] =
        role === 'client' ? [network.a, client, server, tuns.a] : [network.b, server, client, tuns.b]
      t.ok(ended.hasInterface(tun))
      const start = performance.now()
      ended.process.kill(signal)
      await other.until(() => count(other, '"connection closed"') === connections, 'goodbyes', 2)
      t.equal(await ended.ended, 0, 'exit code')
      const took = performance.now() - start
      t.ok(took < 2_000, `gone after ${took.toFixed()} ms`)
      const witness = side.run(['cat', '/proc/net/dev'], { name: 'interfaces', seconds: 5 })
      await witness.ended
      t.match(witness.stdout, 'lo:')
      t.notMatch(witness.stdout, tun, 'the interface is gone')
      t.ok(other.running, 'the other side lives on')
      t.match(ended.stderr, /"traffic":\{.*"stopped"/u, 'what it did is told')
    })
  }
}
