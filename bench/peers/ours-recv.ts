/**
 * Our library as a receiver: `ours-recv --tun-local IP --tun-peer IP --port PORT [--seconds 10] [--tun NAME]`
 *
 * Takes the first connection, in batches, and ends with it, on SIGTERM, or after `--seconds`. Writes `ready` to stderr once
 * it listens; prints one JSON line; cpuSeconds counts from the connection on.
 */
import { parseArgs } from 'node:util'
import { Stack } from '../../src/index.js'
import { sequenceAt } from '../load/datagram.js'
import { cpuSeconds, MAX_SECONDS, number } from '../load/options.js'

const { values } = parseArgs({
  options: {
    tun: { type: 'string', default: '' },
    'tun-local': { type: 'string' },
    'tun-peer': { type: 'string' },
    port: { type: 'string' },
    seconds: { type: 'string', default: '10' },
  },
})

const stack = await Stack.open({
  tun: { name: values.tun, hostAddress: values['tun-local'] ?? '', stackAddress: values['tun-peer'] ?? '' },
})
const listener = stack.listen(number(values.port, '--port', 1, 65_535))

let datagrams = 0
let bytes = 0
let corrupted = 0
let reordered = 0
let next = 0
let first = 0
let last = 0
let startCpu = cpuSeconds()

const finish = (): void => {
  const lost = Math.max(0, next - datagrams)
  const spent = cpuSeconds() - startCpu
  const seconds = (last - first) / 1000
  console.log(JSON.stringify({ datagrams, bytes, seconds, lost, reordered, corrupted, cpuSeconds: spent }))
  process.exit(0)
}
setTimeout(finish, number(values.seconds, '--seconds', 0.01, MAX_SECONDS) * 1000)
process.once('SIGTERM', finish)
console.error('ready')

for await (const socket of listener) {
  startCpu = cpuSeconds()
  for await (const batch of socket.batches()) {
    last = performance.now()
    if (first === 0) first = last
    const view = new DataView(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.byteLength)
    for (let at = 0; at < batch.bytes.length; at += batch.segmentSize) {
      const sequence = batch.bytes.length - at < 8 ? -1 : sequenceAt(view, at)
      if (sequence < 0) corrupted++
      else if (sequence < next) reordered++
      else next = sequence + 1
    }
    datagrams += batch.count
    bytes += batch.bytes.length
  }
  break
}
finish()
