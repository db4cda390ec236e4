/** A wire that carries less than the TUN interfaces: the kernel says so by ICMP, and the tunnel heeds it. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { startClient, startServer } from '../support/programs.js'
import { knock, startService, UdpSource } from '../support/udp-source.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))

const setMtu = (bytes: number): void => {
  network.a.command(['ip', 'link', 'set', network.vethA, 'mtu', String(bytes)])
  network.b.command(['ip', 'link', 'set', network.vethB, 'mtu', String(bytes)])
}

for (const flags of [[], ['--no-offload']]) {
  t.test(['the path becomes narrower', ...flags].join(' '), async t => {
    setMtu(1_500)
    await startService(t, network.b, 4)
    await startServer(t, network.b, { flags })
    const client = await startClient(t, network.a, { flags })
    const source = await UdpSource.open(t)
    await knock(source, 'open')
    setMtu(1_300)
    const said = (): number => client.times('path-mtu-lowered')
    for (let i = 0; i < 200 && said() === 0; i++) {
      source.send(randomBytes(1_400))
      await sleep(50)
    }
    t.match(client.logged('path-mtu-lowered'), [{ largestDatagram: 1_260 }])
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

t.test("the first hop's MTU is known from the start", async t => {
  setMtu(1_300)
  await startService(t, network.b, 4)
  await startServer(t, network.b)
  const client = await startClient(t, network.a)
  const source = await UdpSource.open(t)
  await knock(source, 'open')
  for (let i = 0; i < 3; i++) source.send(randomBytes(1_261))
  await client.until(() => client.times('datagram-oversize') > 0, 'a warning')
  const before = source.received.length
  source.send(randomBytes(1_260))
  await source.until(before + 1)
  t.match(client.logged('datagram-oversize'), [{ size: 1_261, maxDatagram: 1_260 }])
  t.equal(client.times('datagram-oversize'), 1, 'once')
  t.equal(client.times('path-mtu-lowered'), 0, 'nobody had to find out')
})
