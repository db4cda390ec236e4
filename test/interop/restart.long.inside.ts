/** One end goes away, with or without a goodbye, and comes back: the other end notices, and the next datagrams get through. */
import t from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { startClient, startServer } from '../support/programs.js'
import { exchange, knock, randomDatagrams, startService, UdpSource } from '../support/udp-source.js'
import { pairName, pairs } from './pairs.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

// test/system/tunnel-life has the pair that is all ours.
for (const pair of pairs.filter(({ client, server }) => client !== server)) {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const role of ['server', 'client'] as const) {
      t.test(`${pairName(pair)}: ${signal} to the ${role}`, async t => {
        await startService(t, network.b, 4)
        const start = {
          server: () => startServer(t, network.b, { kind: pair.server }),
          client: () => startClient(t, network.a, { kind: pair.client }),
        }
        const first = { server: await start.server(), client: await start.client() }
        const source = await UdpSource.open(t)
        const datagrams = randomDatagrams(Array(50).fill(1_200))
        t.equal(await exchange([source], [datagrams], 1), undefined, 'before')
        first[role].process.kill(signal)
        await first[role].ended
        await start[role]()
        await knock(source, 'back')
        t.equal(await exchange([source], [datagrams], 1), undefined, 'after')
        t.ok(first[role === 'server' ? 'client' : 'server'].running)
      })
    }
  }
}
