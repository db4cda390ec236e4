/** A wire that carries less than the TUN interfaces: the kernel says so by ICMP, and the tunnel heeds it. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { startClient, startServer } from './support/programs.js'
import { knock, startService, UdpSource } from './support/udp.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

for (const flags of [[], ['--no-offload']]) {
  t.test(['datagrams that are too big for the path', ...flags].join(' '), async t => {
    const { a, b, vethA, vethB } = network
    a.command(['ip', 'link', 'set', vethA, 'mtu', '1300'])
    b.command(['ip', 'link', 'set', vethB, 'mtu', '1300'])
    await startService(t, b, 4)
    await startServer(t, b, { flags })
    const client = await startClient(t, a, { flags })
    const source = await UdpSource.open(t)
    await knock(source, 'open')
    const said = (): number => client.stderr.split('the path carries only smaller packets').length - 1
    while (said() === 0) {
      source.send(randomBytes(1_400))
      await sleep(50)
    }
    t.match(client.stderr, /"largestDatagram":1260/)
    const before = source.received.length
    source.send(randomBytes(1_260))
    await source.until(before + 1)
    source.send(randomBytes(1_261))
    await knock(source, 'still open')
    await client.stop()
    t.match(client.stderr, /"oversizeDatagram":[1-9]/, 'what cannot be carried is counted')
    t.equal(said(), 1, 'once')
  })
}
