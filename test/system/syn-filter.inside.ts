/** The SYN filter's life: it comes with a flood, drops first SYNs, and goes by itself. Runs inside a private network namespace. */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { openTun } from '../../src/engine/device.js'
import { SynFilter } from '../../src/engine/syn-filter.js'
import { createVirtualLink } from '../../src/index.js'
import { native } from '../../src/native.js'

const tun = { hostAddress: '10.9.8.1', stackAddress: '10.9.8.2', queues: 1 }

t.test('by itself', async t => {
  const device = openTun(tun)
  t.teardown(() => device.close())
  const said: string[] = []
  let dropped = 0
  const open = () =>
    SynFilter.open(device.queues[0], {
      dropped: count => {
        dropped += count
      },
      log: text => said.push(text),
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
    const bytes = Buffer.alloc(2048)
    let syns = 0
    // Behind the virtio-net header: TCP.
    for (let length = 1; length > 0; ) {
      length = native.read(device.queues[0], bytes, 0, bytes.length)
      if (length > 0 && bytes[device.virtioSize] === 0x45 && bytes[device.virtioSize + 9] === 6) syns++
    }
    return syns
  }
  t.equal(await reached(), 10, 'in peace')
  filter.flood()
  filter.flood()
  t.equal(said.length, 1)
  t.equal(await reached(), 0, 'in a flood')
  await sleep(1_200)
  t.equal(dropped, 10)
  t.equal(said.length, 2, 'ten SYNs a second are no flood: it ends')
  t.equal(await reached(), 10)
  filter.flood()
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
  t.equal(SynFilter.open(a.queues[0], { dropped: () => {}, log: () => {} }), undefined)
  a.close()
  b.close()
})
