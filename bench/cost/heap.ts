/**
 * Heap that one way of sending and receiving allocates: `heap <path> <datagrams>`, started by main.ts with a young generation so
 * large that nothing is collected meanwhile. Two stacks on a virtual link in this process; prints one JSON line.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { createVirtualLink, type Socket, Stack } from '../../src/index.js'
import { Probe, watchHeap } from './probe-service.js'

const size = 64
const batch = new Uint8Array(1000 * size)
const one = new Uint8Array(size)
const target = new Uint8Array(2048)

/** Threads whose heap is watched: this one, the sender's worker, the receiver's. */
const threads = ['main', 'sending worker', 'receiving worker'] as const
const memory = new SharedArrayBuffer(threads.length * Probe.length * 8)
const figures = new Float64Array(memory)

const addresses = { a: '192.168.200.2', b: '192.168.201.2' }
const [linkA, linkB] = createVirtualLink({ queues: 1 })
const [a, b] = await Promise.all([Stack.open({ device: linkA }), Stack.open({ device: linkB })])
const probe = new URL('probe-service.js', import.meta.url)
await a.serve(undefined, probe, { workerData: { memory, first: 1 } })
await b.serve(80, probe, { workerData: { memory, first: 2 } })

const listener = b.listen(81)
const path = process.argv[2]
const wanted = Number(process.argv[3])

let arrived = 0
const readers: Record<string, (socket: Socket) => Promise<void>> = {
  batches: async socket => {
    for await (const { count } of socket.batches()) arrived += count
  },
  recvInto: async socket => {
    for (;;) {
      if ((await socket.recvInto(target)) === undefined) return
      arrived++
      while (socket.tryRecvInto(target) >= 0) arrived++
    }
  },
  recv: async socket => {
    for await (const _ of socket) arrived++
  },
}
const [way, reading] = path.split(' → ')
const count = (): number => (reading === 'service' ? figures[2 * Probe.length + Probe.datagrams] : arrived)
const client = await a.connect(addresses.b, reading === 'service' ? 80 : 81)
if (reading !== 'service') void readers[reading](await listener.accept())

/** As much as the link takes, then a turn for the reader. */
const send = (): number => {
  if (way === 'sendBatch') return client.sendBatch(batch, size)
  for (let i = 0; i < 1000; i++) client.send(one)
  return 1000
}

const run = async (datagrams: number): Promise<void> => {
  const end = count() + datagrams
  while (count() < end) {
    send()
    await turn()
  }
}

watchHeap(figures, 0, (ms, tick) => setInterval(tick, ms).unref())
const settled = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 100))
// Compiled and warm.
await run(wanted / 5)
await settled()
const before = figures.slice()
const start = count()
await run(wanted)
await settled()
const datagrams = count() - start
const rows = threads.map((thread, i) => ({
  thread,
  bytesPerDatagram: (figures[i * Probe.length] - before[i * Probe.length]) / datagrams,
  collections: figures[i * Probe.length + Probe.collections] - before[i * Probe.length + Probe.collections],
}))
console.log(JSON.stringify({ path, datagrams, rows }))
process.exit(0)
