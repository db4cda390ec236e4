/**
 * `heap <path> <datagrams>` measures how much heap one way of sending and receiving allocates. main.ts starts it with a
 * young generation so large that V8 collects nothing meanwhile. Two stacks on a virtual link run in this process. It
 * prints one JSON line.
 */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { createVirtualLink, type Socket, Stack } from '../../src/index.js'
import { Message, native, UdpFlag } from '../../src/native.js'
import { resolveNumbers } from '../../src/numbers.js'
import { FlowSet } from '../../src/tunnel/flow-set.js'
import { serviceNumbers } from '../../src/tunnel/options.js'
import { planPorts } from '../../src/tunnel/port-plan.js'
import type { ClientData, ServerData } from '../../src/tunnel/service-data.js'
import { probeUdp } from '../../src/udp/features.js'
import { Probe, watchHeap } from './probe-service.js'

const size = 64
const batch = new Uint8Array(1000 * size)
const one = new Uint8Array(size)
const target = new Uint8Array(2048)

/** The threads whose heap is watched: this one, the sender's worker and the receiver's. */
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

/** A sender that sends as much as it can, and knows how many datagrams have arrived. */
interface Path {
  send(): void
  count(): number
}

const library = async (way: string, reading: string): Promise<Path> => {
  const client = await a.connect(addresses.b, reading === 'service' ? 80 : 81)
  if (reading !== 'service') void readers[reading](await listener.accept())
  const sendOnes = (): void => {
    for (let i = 0; i < 1000; i++) client.send(one)
  }
  return {
    send: way === 'sendBatch' ? () => client.sendBatch(batch, size) : sendOnes,
    count: () => (reading === 'service' ? figures[2 * Probe.length + Probe.datagrams] : arrived),
  }
}

/** UDP on the loopback interface, through the tunnel's two services, and UDP again. */
const tunnel = async (): Promise<Path> => {
  const here = Uint8Array.of(127, 0, 0, 1)
  const hereAddress = { bytes: here, zone: '' }
  const udp = probeUdp()
  const [source, sink] = [native.udpOpen(4, 0), native.udpOpen(4, UdpFlag.gro)]
  native.udpBind(sink, here, 0, 0)
  native.socketBuffers(sink, 8 << 20, 0)
  // The kernel picks a port that is free now.
  const free = native.udpOpen(4, 0)
  native.udpBind(free, here, 0, 0)
  const localPort = native.udpPort(free)
  native.close(free)
  const service = (name: string): URL => new URL(`../../src/tunnel/${name}-service.js`, import.meta.url)
  const options = resolveNumbers(serviceNumbers, {})
  const common = () => ({ ...options, udp, maxFlows: 100, flowCounts: FlowSet.share(1) })
  const behind = { port: native.udpPort(sink), addresses: [hereAddress] }
  const server: ServerData = { ...common(), remote: behind, ports: planPorts() }
  await b.serve(82, service('server'), { workerData: server })
  const address = Uint8Array.from(addresses.b.split('.').map(Number))
  const remote = { port: 82, addresses: [{ bytes: address, zone: '' }] }
  const client: ClientData = { ...common(), remote, local: hereAddress, localPort }
  await a.serve(undefined, service('client'), { workerData: client })
  native.udpConnect(source, here, localPort, 0)

  const words = new Int32Array(Message.words * 64)
  const vec = native.arenaOpen(new Uint8Array(words.buffer))
  const message = words.slice()
  const datagrams = 64
  message[Message.at] = Message.words
  message[Message.length] = 1
  message[Message.segmentSize] = size
  message[Message.words + 1] = datagrams * size
  const outgoing = native.arenaOpen(new Uint8Array(message.buffer))
  const stride = 65_536
  const incoming = native.arenaOpen(new Uint8Array(64 * stride))
  return {
    send: () => {
      for (let i = 0; i < 16; i++) native.udpSend(source, 4, batch, outgoing, 0, 1)
    },
    count: () => {
      const messages = native.udpReceive(sink, incoming, 0, stride, 64, vec, 0)
      for (let i = 0; i < messages; i++) arrived += words[i * Message.words + Message.length] / size
      return arrived
    },
  }
}

const [way, reading] = path.split(' → ')
const { send, count } = await (way === 'UDP' ? tunnel() : library(way, reading))

const run = async (datagrams: number): Promise<void> => {
  const end = count() + datagrams
  while (count() < end) {
    send()
    await turn()
  }
}

watchHeap(figures, 0, (ms, tick) => setInterval(tick, ms).unref())
/** Waits until every thread has noted its heap, which it does every few milliseconds. */
const settled = (): Promise<void> => sleep(100)
// The warm-up lets V8 compile what is measured.
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
