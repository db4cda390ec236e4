/** The flood filter: what it passes, and its life: it comes with a flood and goes by itself. Runs inside a private network namespace. */
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { openTun } from '../../src/engine/tun.js'
import { resolveTun } from '../../src/engine/tun-options.js'
import { FloodFilter } from '../../src/flood/flood-filter.js'
import { filterLimits } from '../../src/flood/limits.js'
import { createVirtualLink } from '../../src/index.js'
import { FlowTable } from '../../src/memory/flow-table.js'
import { native } from '../../src/native.js'
import type { Device } from '../../src/net/device.js'
import { ACK, RST, SYN } from '../support/packets.js'
import { type Outgoing, RawPeer } from '../support/raw-peer.js'

const flows = () => FlowTable.allocate(16)
const ends = {
  a: {
    hostAddress: '10.9.8.1',
    stackAddress: '10.9.8.2',
    hostAddress6: 'fd09::1',
    stackAddress6: 'fd09::2',
    queues: 1,
  },
  b: {
    hostAddress: '10.9.7.1',
    stackAddress: '10.9.7.2',
    hostAddress6: 'fd08::1',
    stackAddress6: 'fd08::2',
    queues: 1,
  },
}
for (const path of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) writeFileSync(`/proc/sys/net/${path}`, '1')

/** How many TCP packets wait on a device. */
const tcpPackets = ({ queues: [queue], virtioSize: ip }: Device): number => {
  const bytes = Buffer.alloc(2048)
  let found = 0
  while (native.read(queue, bytes, 0, bytes.length) > 0) {
    if (bytes[ip + (bytes[ip] >> 4 === 4 ? 9 : 6)] === 6) found++
  }
  return found
}

/** A device behind the filter, and somebody who sends to it by way of the kernel. */
const filtered = (t: Test) => {
  const [behind, before] = [openTun(resolveTun(ends.a)), openTun(resolveTun(ends.b))]
  const map = native.floodMapOpen()
  const { spanBits, handshakes, others, retryBits } = filterLimits
  const program = map < 0 ? map : native.floodFilterOpen(map, spanBits, handshakes, others, retryBits)
  t.teardown(() => {
    for (const fd of [map, program]) if (fd >= 0) native.close(fd)
    behind.close()
    before.close()
  })
  if (program < 0) return undefined
  t.equal(native.floodBegin(map), 0)
  t.equal(native.tunFilter(behind.queues[0], program), 0)
  const sender = new RawPeer(before, behind)
  const dropped = () => native.floodDropped(map, 0) + native.floodDropped(map, 1)
  /** How many of these arrive; the kernel may take its time, and its queues hold some hundreds. */
  const passed = async (count: number, make: (n: number) => Outgoing): Promise<number> => {
    const before = dropped()
    let arrived = 0
    for (let n = 0; n < count; n++) {
      sender.send(make(n))
      if (n % 100 !== 99) continue
      for (let i = 0; i < 1_000; i++) {
        arrived += tcpPackets(behind)
        if (arrived + dropped() - before >= n + 1) break
        await sleep(1)
      }
    }
    return arrived
  }
  return { map, passed, dropped, sender: before }
}

for (const family of [4, 6] as const) {
  t.test(`what passes in a flood: IPv${family}`, async t => {
    const rig = filtered(t)
    if (rig === undefined) {
      t.comment('skipped: the kernel takes no eBPF programs from us')
      return
    }
    const { map, passed, dropped } = rig
    const port = 4567
    const from = (sourcePort: number, flags: number): Outgoing => ({
      family,
      sourcePort,
      destinationPort: port,
      flags,
    })
    const remote = (family === 4 ? rig.sender.stackAddress : rig.sender.stackAddress6)!.words
    const live = Int32Array.of(family, (40_000 << 16) | port, ...remote)
    t.equal(native.floodAdmit(map, new Uint8Array(live.buffer)), 0)

    const start = performance.now()
    const strays = await passed(10_000, n => from(1_024 + n, n % 2 === 0 ? ACK : RST))
    const spans = (performance.now() - start) / (2 ** 24 / 1e6) + 2
    t.ok(strays >= 100 && strays <= spans * 100, `${strays} of 10,000 strays in ${spans.toFixed(1)} spans of time`)
    // The kernel itself says something now and then (router solicitations).
    const more = dropped() + strays - 10_000
    t.ok(more >= 0 && more < 20, `and the others are counted (${more} too many)`)
    t.equal(await passed(2_000, () => from(40_000, ACK)), 2_000, 'all of a live connection')
    t.equal(await passed(100, n => from(50_000 + n, SYN)), 100, 'a SYN, while nobody floods with them')
    t.equal(await passed(100, n => from(50_000 + n, ACK)), 100, 'and what ends its handshake')
    t.equal(native.floodSyns(map, 1), 0)
    const before = native.floodDropped(map, 1)
    t.equal(await passed(100, n => from(51_000 + n, SYN)), 0, 'in a flood of them not the first')
    t.equal(native.floodDropped(map, 1) - before, 100)
    t.equal(await passed(100, n => from(51_000 + n, SYN)), 100, 'but the second')
    t.equal(native.floodBegin(map), 0)
    await passed(1_000, n => from(1_024 + n, ACK))
    t.ok((await passed(2_000, () => from(40_000, ACK))) < 2_000, 'the next flood knows nothing of this one')
  })
}

t.test('by itself', async t => {
  const device = openTun(resolveTun(ends.a))
  t.teardown(() => device.close())
  const happened: string[] = []
  let dropped = 0
  const open = () =>
    FloodFilter.open(device.queues[0], flows(), {
      dropped: (syns, others) => {
        dropped += syns + others
      },
      begun: () => happened.push('begun'),
      synsTwice: () => happened.push('SYNs twice'),
      ended: () => happened.push('ended'),
    })
  const filter = open()
  if (filter === undefined) {
    t.comment('skipped: the kernel takes no eBPF programs from us')
    return
  }
  /** SYNs that reach the queue within a moment of ten connects. */
  const reached = async () => {
    const sockets = Array.from({ length: 10 }, (_, i) => connect(7_000 + i, '10.9.8.2').on('error', () => {}))
    await sleep(100)
    for (const socket of sockets) socket.destroy()
    return tcpPackets(device)
  }
  t.equal(await reached(), 10, 'in peace')
  t.equal(filter.flood(false), true)
  t.equal(filter.flood(false), true)
  t.strictSame(happened, ['begun'])
  t.equal(await reached(), 10, 'in a flood of something else')
  filter.flood(true)
  filter.flood(true)
  t.strictSame(happened, ['begun', 'SYNs twice'])
  t.equal(await reached(), 0, 'in a flood of SYNs')
  await sleep(1_200)
  t.equal(dropped, 10)
  t.strictSame(happened, ['begun', 'SYNs twice', 'ended'], 'ten SYNs a second are no flood: it ends')
  t.equal(await reached(), 10)
  filter.flood(true)
  t.equal(await reached(), 0, 'the next flood')
  // As if its process had been killed: an interface from outside would keep the program.
  const other = open()
  t.equal(await reached(), 10, 'a new one removes what an old one left')
  other?.close()
  filter.close()
  t.equal(await reached(), 10)
})

t.test('not on a virtual link', async t => {
  const [a, b] = createVirtualLink()
  const hooks = { dropped: () => {}, begun: () => {}, synsTwice: () => {}, ended: () => {} }
  t.equal(FloodFilter.open(a.queues[0], flows(), hooks), undefined)
  a.close()
  b.close()
})
