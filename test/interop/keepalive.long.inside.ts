/** Signs of life: a stock peer that has nothing to say gives them when asked; one that is gone is noticed. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { startClient, startServer } from '../support/programs.js'
import { knock, startService, UdpSource } from '../support/udp-source.js'
import { pairName, pairs } from './pairs.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

const flags = ['--keepalive', '1']

for (const pair of pairs.filter(({ client, server }) => client === 'ours' || server === 'ours')) {
  t.test(pairName(pair), async t => {
    await startService(t, network.b, 4)
    const asks = (kind: string) => ({ flags: kind === 'ours' ? flags : [] })
    const server = await startServer(t, network.b, { kind: pair.server, ...asks(pair.server) })
    const client = await startClient(t, network.a, { kind: pair.client, ...asks(pair.client) })
    // The one that asks, and the one that will stand still.
    const [ours, other] = pair.client === 'ours' ? [client, server] : [server, client]
    const source = await UdpSource.open(t)
    await knock(source, 'one')
    await sleep(6_000)
    t.equal(ours.times('connection-closed'), 0, 'six seconds of silence, and the connection lives')
    const before = source.received.length
    source.send('two')
    await source.until(before + 1)
    other.process.kill('SIGSTOP')
    await ours.until(() => ours.times('connection-closed') > 0, 'the end of the connection', 15)
    other.process.kill('SIGCONT')
    await knock(source, 'three')
  })
}
