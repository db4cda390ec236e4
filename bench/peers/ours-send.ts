/**
 * Our library as a sender:
 *
 *     ours-send --tun-local IP --tun-peer IP --remote IP:PORT [--size 1400] [--flows 1] [--mode batches] [--offload 1]
 *               [--seconds 5] [--tun NAME]
 *
 * | mode | |
 * |---|---|
 * | `batches` | `sendBatch` of up to 64 KiB |
 * | `one` | `send` of each datagram |
 *
 * It sends as fast as it can. Each connection gets 64 KiB before the next one's turn, and the event loop gets a turn
 * after every `TURN` of those. It writes `started` to stderr once all connections are open. It prints one JSON line,
 * with the CPU time since then.
 */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Socket, Stack } from '../../src/index.js'
import { MAX_FLOWS, stamp } from '../load/datagram.js'
import { cpuSeconds, MAX_SECONDS, number } from '../load/options.js'
import { memoryMB } from './count.js'

/** The IPv4 total length 65,535, less the IP header and the TCP header. */
const SUPER_PACKET = 65_535 - 40
const TURN = 64
/** Connections that open at the same time. */
const OPENING = 64
/** Wait before this program ends, in milliseconds, until what is still queued has reached the receiver. */
const DRAIN = 300

const { values } = parseArgs({
  options: {
    tun: { type: 'string', default: '' },
    'tun-local': { type: 'string' },
    'tun-peer': { type: 'string' },
    remote: { type: 'string' },
    size: { type: 'string', default: '1400' },
    flows: { type: 'string', default: '1' },
    mode: { type: 'string', default: 'batches' },
    offload: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '5' },
  },
})
const size = number(values.size, '--size', 8, 1460)
const flows = number(values.flows, '--flows', 1, MAX_FLOWS)
const seconds = number(values.seconds, '--seconds', 0.01, MAX_SECONDS)
const [host, portText] = (values.remote ?? '').split(':')
const port = number(portText, '--remote', 1, 65_535)

const stack = await Stack.open({
  tun: {
    name: values.tun,
    hostAddress: values['tun-local'] ?? '',
    stackAddress: values['tun-peer'] ?? '',
    offload: values.offload !== '0',
  },
})
const sockets: Socket[] = []
while (sockets.length < flows) {
  const some = Math.min(OPENING, flows - sockets.length)
  sockets.push(...(await Promise.all(Array.from({ length: some }, () => stack.connect(host, port)))))
}

const count = Math.floor(SUPER_PACKET / size)
const batch = new Uint8Array(count * size).map((_, i) => (i % size) * 7)
const view = new DataView(batch.buffer)
const datagrams = Array.from({ length: count }, (_, i) => batch.subarray(i * size, (i + 1) * size))
const sequences = new Float64Array(flows)

const sendBatch = (flow: number): void => {
  let sequence = sequences[flow]
  for (let at = 0; at < batch.length; at += size) stamp(view, at, flow, sequence++)
  sequences[flow] = sequence
  sockets[flow].sendBatch(batch, size)
}

const sendOne = (flow: number): void => {
  const socket = sockets[flow]
  for (const datagram of datagrams) {
    stamp(view, datagram.byteOffset, flow, sequences[flow]++)
    socket.send(datagram)
  }
}

const send = values.mode === 'one' ? sendOne : sendBatch
console.error('started')
const startCpu = cpuSeconds()
const start = performance.now()
const end = start + seconds * 1000
let batches = 0
while (performance.now() < end) {
  for (let i = 0; i < TURN; i++) send(batches++ % flows)
  await turn()
}
const result = {
  datagrams: batches * count,
  bytes: batches * batch.length,
  seconds: (performance.now() - start) / 1000,
  cpuSeconds: cpuSeconds() - startCpu,
  memoryMB: memoryMB(),
}
console.log(JSON.stringify(result))
await sleep(DRAIN)
// The measuring is over, so the process ends without closing thousands of connections one by one.
process.exit(0)
