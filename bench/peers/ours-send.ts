/**
 * Our library as a sender: `ours-send --tun-local IP --tun-peer IP --remote IP:PORT [--size 1400] [--seconds 5] [--tun NAME]`
 *
 * As fast as `sendBatch` lets it, in super-packets of up to 64 KiB; the event loop gets a turn every `TURN` batches.
 * Prints one JSON line; cpuSeconds counts from the connection on.
 */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Stack } from '../../src/index.js'
import { stamp } from '../load/datagram.js'
import { cpuSeconds, MAX_SECONDS, number } from '../load/options.js'

/** IPv4 total length 65,535 − IP header − TCP header. */
const SUPER_PACKET = 65_535 - 40
const TURN = 64
/** What is still queued reaches the receiver before the RST does, in milliseconds. */
const DRAIN = 300

const { values } = parseArgs({
  options: {
    tun: { type: 'string', default: '' },
    'tun-local': { type: 'string' },
    'tun-peer': { type: 'string' },
    remote: { type: 'string' },
    size: { type: 'string', default: '1400' },
    seconds: { type: 'string', default: '5' },
  },
})
const size = number(values.size, '--size', 8, 1460)
const seconds = number(values.seconds, '--seconds', 0.01, MAX_SECONDS)
const [host, port] = (values.remote ?? '').split(':')

const stack = await Stack.open({
  tun: { name: values.tun, hostAddress: values['tun-local'] ?? '', stackAddress: values['tun-peer'] ?? '' },
})
const socket = await stack.connect(host, number(port, '--remote', 1, 65_535))

const count = Math.floor(SUPER_PACKET / size)
const batch = new Uint8Array(count * size).map((_, i) => (i % size) * 7)
const view = new DataView(batch.buffer)
const startCpu = cpuSeconds()
const start = performance.now()
const end = start + seconds * 1000
let sequence = 0
while (performance.now() < end) {
  for (let i = 0; i < TURN; i++) {
    for (let at = 0; at < batch.length; at += size) stamp(view, at, 0, sequence++)
    socket.sendBatch(batch, size)
  }
  await turn()
}
const took = (performance.now() - start) / 1000
const result = { datagrams: sequence, bytes: sequence * size, seconds: took, cpuSeconds: cpuSeconds() - startCpu }
console.log(JSON.stringify(result))
await sleep(DRAIN)
await stack.close()
