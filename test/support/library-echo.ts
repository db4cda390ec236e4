/**
 * The library as a server: `library-echo --tun NAME --port PORT [--queues N] [--no-offload]`, on B's addresses.
 *
 * Sends every batch back as it came; a datagram `bye` makes it close that connection. Writes `ready` to stderr, and a JSON line
 * `{ reason, datagrams }` for each connection that ended. SIGTERM closes the stack.
 */
import { parseArgs } from 'node:util'
import { type Socket, Stack } from '../../src/index.js'
import { addresses } from '../../src/lab/network.js'

const { values } = parseArgs({
  options: {
    tun: { type: 'string', default: '' },
    port: { type: 'string', default: '0' },
    queues: { type: 'string', default: '2' },
    'no-offload': { type: 'boolean', default: false },
  },
})

const { tunLocal, tunPeer, tunPeer6 } = addresses.b
const stack = await Stack.open({
  tun: {
    name: values.tun,
    hostAddress: tunLocal,
    stackAddress: tunPeer,
    hostAddress6: 'fcc9::1',
    stackAddress6: tunPeer6,
    queues: Number(values.queues),
    offload: !values['no-offload'],
  },
})

const echo = async (socket: Socket): Promise<void> => {
  for await (const { bytes, segmentSize, count } of socket.batches()) {
    if (count === 1 && Buffer.from(bytes).equals(Buffer.from('bye'))) await socket.close()
    else socket.sendBatch(bytes, segmentSize)
  }
  const { reason } = await socket.closed
  console.log(JSON.stringify({ reason, datagrams: socket.stats().datagramsIn }))
}

process.once('SIGTERM', () => void stack.close().then(() => process.exit(0)))
const listener = stack.listen(Number(values.port), { backlog: 512 })
console.error('ready')
for await (const socket of listener) void echo(socket)
