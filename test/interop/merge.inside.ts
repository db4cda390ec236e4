/**
 * A stock client behind a card that merges (GRO, with a little time to do so): its packets, all with IP id 0, must reach our server as
 * super-packets, not cut up again in front of TUN.
 */
import t from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { startClient, startServer } from '../support/programs.js'
import { knock, randomDatagrams, startService, UdpSource } from '../support/udp-source.js'

const network = await createNetwork('wire')
t.teardown(() => network.close().finally(() => stopAll()))

t.test('a stock peer’s packets are merged on the way', async t => {
  const { b, vethB } = network
  // As with cards that raise few interrupts. /sys shows the interfaces of the namespace it was mounted in.
  const setting = `mount -t sysfs none /sys && cd /sys/class/net/${vethB} &&
    echo 2000000 > gro_flush_timeout && echo 1 > napi_defer_hard_irqs`
  b.command(['unshare', '--mount', 'sh', '-c', setting])
  await startService(t, b, 4)
  const server = await startServer(t, b, {})
  await startClient(t, network.a, { kind: 'phantun' })
  const source = await UdpSource.open(t)
  await knock(source, 'open')
  for (const datagram of randomDatagrams(Array(2_000).fill(1_200))) source.send(datagram)
  await new Promise(resolve => setTimeout(resolve, 1_000))
  await server.stop()
  const traffic = server.logged('stopped')[0]?.traffic as Record<string, number>
  t.ok(traffic.datagramsIn > 200, `${traffic.datagramsIn} datagrams`)
  t.ok(traffic.superPacketsIn > 0, `${traffic.packetsIn} packets, ${traffic.superPacketsIn} of them merged`)
  t.ok(traffic.packetsIn < traffic.datagramsIn)
})
