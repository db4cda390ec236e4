/** A strict NAT lets one-way traffic through, whoever is silent: 64 KiB are allowed until it knows that one's window scale. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { invalidPackets } from '../../src/lab/conntrack.js'
import { createNetwork } from '../../src/lab/network.js'
import { ports, vethOfB } from '../support/programs.js'
import { numbers, randomDatagrams, recorded, startService, UdpSource } from '../support/udp-source.js'
import { pairName, pairs, startPair } from './pairs.js'

const network = await createNetwork('plain', { nat: ports.server })
t.teardown(() => network.close().finally(() => stopAll()))

/** Several times what a window without its scale allows. */
const datagrams = 400
const size = 1_400

const invalid = () => Promise.all([network.a, network.b].map(invalidPackets))

for (const pair of pairs) {
  for (const family of [4, 6] as const) {
    t.test(`${pairName(pair)}, IPv${family}`, async t => {
      const before = await invalid()
      const service = await startService(t, network.b, family, '--record', '--mute')
      const { server, client } = await startPair(t, network, pair, family, vethOfB[family])
      const source = await UdpSource.open(t, family)
      const sent = randomDatagrams(Array.from({ length: datagrams }, () => size))
      const arrived = async (count: number) =>
        service.until(() => service.stdout.split('\n').length > count, `${count} datagrams`)
      source.send(sent[0])
      await arrived(1)
      for (let i = 1; i < datagrams; i++) {
        source.send(sent[i])
        if (i % 5 === 0) await sleep(5)
      }
      await arrived(datagrams)
      const found = recorded(service).map(({ data }) => data)
      t.same(
        [...numbers(found, sent)].sort((a, b) => a - b),
        Array.from(sent, (_, i) => i),
        'everything arrived once',
      )
      await (pair.client === 'ours' ? client : server).stop()
      t.same(await invalid(), before, 'INVALID on either side')
    })
  }
}
