/**
 * Our library as a receiver:
 *
 *     ours-recv --tun-local IP --tun-peer IP --port PORT [--mode batches] [--offload 1] [--seconds 10] [--tun NAME]
 *
 * | mode | datagrams reach |
 * |---|---|
 * | `batches` | sockets on the main thread, as views |
 * | `one` | the same, one by one, each the program's to keep |
 * | `service` | a service in the queue workers |
 *
 * It takes any number of connections, until SIGTERM or after `--seconds`. It writes `ready` to stderr once it listens,
 * and prints one JSON line.
 */
import { parseArgs } from 'node:util'
import { type Socket, Stack } from '../../src/index.js'
import { MAX_SECONDS, number } from '../load/options.js'
import { arrived, Count, countBytes } from './count.js'

/** As many connections as one burst of the sender may open. */
const BACKLOG = 4096

const { values } = parseArgs({
  options: {
    tun: { type: 'string', default: '' },
    'tun-local': { type: 'string' },
    'tun-peer': { type: 'string' },
    port: { type: 'string' },
    mode: { type: 'string', default: 'batches' },
    offload: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '10' },
  },
})

const stack = await Stack.open({
  tun: {
    name: values.tun,
    hostAddress: values['tun-local'] ?? '',
    stackAddress: values['tun-peer'] ?? '',
    offload: values.offload !== '0',
  },
})
const port = number(values.port, '--port', 1, 65_535)
const memory = new SharedArrayBuffer(countBytes(stack.stats().workers.length))

process.once('SIGTERM', () => finish())
setTimeout(() => finish(), number(values.seconds, '--seconds', 0.01, MAX_SECONDS) * 1000)
const finish = (): void => {
  console.log(JSON.stringify(arrived(memory)))
  process.exit(0)
}

const readBatches = async (socket: Socket, count: Count): Promise<void> => {
  for await (const { bytes, segmentSize } of socket.batches()) count.add(bytes, 0, bytes.length, segmentSize)
}

const readOne = async (socket: Socket, count: Count): Promise<void> => {
  for (;;) {
    const datagram = await socket.recv()
    if (datagram === undefined) return
    count.add(datagram, 0, datagram.length, datagram.length)
  }
}

if (values.mode === 'service') {
  await stack.serve(port, new URL('counting-service.js', import.meta.url), { workerData: memory })
  console.error('ready')
} else {
  const read = values.mode === 'one' ? readOne : readBatches
  const count = new Count(memory, 0)
  const listener = stack.listen(port, { backlog: BACKLOG })
  console.error('ready')
  for await (const socket of listener) void read(socket, count)
}
