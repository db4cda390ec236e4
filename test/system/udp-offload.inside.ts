/** UDP that the kernel sends in one go: what cannot be cut on the way goes in single datagrams. */
import t from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { loopback, ports, startClient, startServer } from '../support/programs.js'
import { exchange, randomDatagrams, startService, UdpSource } from '../support/udp-source.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

for (const family of [4, 6] as const) {
  t.test(`IPv${family}: datagrams larger than the MTU behind the tunnel, either end`, async t => {
    for (const side of [network.a, network.b]) side.command(['ip', 'link', 'set', 'lo', 'mtu', '1400'])
    t.teardown(() => {
      for (const side of [network.a, network.b]) side.command(['ip', 'link', 'set', 'lo', 'mtu', '65536'])
    })
    await startService(t, network.b, family)
    await startServer(t, network.b, { remote: `${loopback[family]}:${ports.service}` })
    await startClient(t, network.a, { local: `${loopback[family]}:${ports.client}` })
    const sources = [await UdpSource.open(t, family), await UdpSource.open(t, family)]
    const datagrams = sources.map(() => randomDatagrams([...Array(400).fill(1_450), ...Array(400).fill(1_300)]))
    t.equal(await exchange(sources, datagrams, 48), undefined, 'all of them, in order')
  })
}
