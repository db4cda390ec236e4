/** A sender that is faster than the tunnel: datagrams may be lost, and none is altered or overtaken. */
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { createNetwork, type Shape, shapes } from '../../src/lab/network.js'
import { endWith, loopback, ports, startClient, startServer } from '../support/programs.js'

/** The benchmark's sender and receiver: every datagram carries its flow's number and its own. */
const load = (name: string): string[] => [
  process.execPath,
  fileURLToPath(new URL(`../../bench/load/${name}`, import.meta.url)),
]

interface Arrived {
  datagrams: number
  reordered: number
  corrupted: number
  flows: number
}

interface Case {
  shape: Shape
  gso: boolean
  size: number
  flows: number
  flags?: string[]
}

const cases: readonly Case[] = [
  { shape: 'plain', gso: true, size: 1_400, flows: 1 },
  { shape: 'plain', gso: false, size: 100, flows: 4 },
  { shape: 'plain', gso: true, size: 1_400, flows: 1, flags: ['--no-offload'] },
  { shape: 'plain', gso: true, size: 1_400, flows: 3, flags: ['--coalesce-us', '300'] },
  { shape: 'wire', gso: true, size: 1_400, flows: 1 },
  { shape: 'wire', gso: true, size: 700, flows: 8 },
  { shape: 'wire', gso: true, size: 700, flows: 8, flags: ['--no-offload'] },
]

for (const shape of shapes) {
  t.test(`wire: ${shape}`, async t => {
    const network = await createNetwork(shape)
    t.teardown(() => network.close())
    for (const { gso, size, flows, flags = [] } of cases.filter(each => each.shape === shape)) {
      const how = ['--size', String(size), '--flows', String(flows), ...(gso ? ['--gso'] : [])]
      await t.test([...how, ...flags].join(' '), async t => {
        const listen = ['--listen', `${loopback[4]}:${ports.service}`, '--seconds', '60']
        const sink = endWith(t, network.b.run([...load('udp-sink.js'), ...listen], { name: 'sink', seconds: 70 }))
        await sink.until(() => sink.stderr.includes('ready'), 'UDP socket')
        await startServer(t, network.b, { flags })
        const client = await startClient(t, network.a, { flags })
        const to = ['--to', `${loopback[4]}:${ports.client}`, '--seconds', '0.5', '--warmup', '200', ...how]
        const sender = endWith(t, network.a.run([...load('udp-send.js'), ...to], { name: 'sender', seconds: 60 }))
        t.equal(await sender.ended, 0)
        await sleep(200)
        t.ok(client.running)
        await sink.stop()
        const arrived = await sink.json<Arrived>()
        t.ok(arrived.datagrams > 1_000, `${arrived.datagrams} arrived`)
        t.match(arrived, { reordered: 0, corrupted: 0, flows })
      })
    }
  })
}
t.teardown(() => stopAll())
