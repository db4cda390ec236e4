/**
 * A UDP service: `udp-service --listen ADDRESS:PORT [--mute] [--record]`
 *
 * It sends every datagram back unless `--mute`. With `--record` it prints a JSON line `{ from, data }` (base64) for
 * each. It writes `ready` to stderr once it is bound. It ends with its standard input or on SIGTERM.
 */
import { createSocket } from 'node:dgram'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { listen: { type: 'string' }, mute: { type: 'boolean' }, record: { type: 'boolean' } },
})
const [, host = '', port = ''] = /^\[?(.+?)\]?:(\d+)$/u.exec(values.listen ?? '') ?? []

const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 })
socket.on('message', (datagram, { address, port }) => {
  if (values.record === true)
    console.log(JSON.stringify({ from: `${address} ${port}`, data: datagram.toString('base64') }))
  if (values.mute !== true) socket.send(datagram, port, address)
})
socket.bind(Number(port), host, () => console.error('ready'))
process.once('SIGTERM', () => process.exit(0))
