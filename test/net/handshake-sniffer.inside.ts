/** Handshakes of real sockets on the loopback interface. Runs in a private network namespace. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { HandshakeSniffer, type Sniffed } from '../../src/net/handshake-sniffer.js'
import { Netlink } from '../../src/net/netlink.js'
import { layWire } from '../support/ip.js'

layWire()
const netlink = new Netlink()
const loopback = netlink.link('lo')!.index
netlink.close()

const port = 4567
const otherPort = 4568

const open = (t: Test): HandshakeSniffer => {
  const sniffer = HandshakeSniffer.open(port)
  if (sniffer === undefined) throw new Error('not allowed to look')
  t.teardown(() => sniffer.close())
  return sniffer
}

/** A connection to a port that nobody listens on: a SYN, and the kernel's RST. */
const beRefused = async (host: string, to: number, localPort?: number): Promise<void> => {
  const socket = connect({ host, port: to, ...(localPort !== undefined && { localPort }) })
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  if (error.code !== 'ECONNREFUSED') throw error
}

/** A connection to a port on which somebody listens, with a few bytes, closed by both ends. */
const beServed = async (host: string, to: number): Promise<void> => {
  const server = createServer(socket => socket.pipe(socket))
  server.listen(to, host)
  await once(server, 'listening')
  const socket = connect(to, host)
  socket.end('a few bytes')
  socket.resume()
  await once(socket, 'close')
  server.close()
  await once(server, 'close')
}

const summary = ({ kind, source, destination, index, outgoing }: Sniffed): string =>
  `${kind} ${source.text} > ${destination.text}, interface ${index} ${outgoing ? 'out' : 'in'}`

for (const host of ['127.0.0.1', '::1']) {
  const passed = (kind: string) => ['out', 'in'].map(way => `${kind} ${host} > ${host}, interface ${loopback} ${way}`)

  t.test(`a SYN to the port and the RST from it, as they leave and as they come: ${host}`, async t => {
    const sniffer = open(t)
    t.strictSame(sniffer.read(), [])
    await beRefused(host, port)
    t.strictSame(sniffer.read().map(summary), [...passed('syn'), ...passed('rst')])
    t.strictSame(sniffer.read(), [], 'each once')
  })

  t.test(`of a handshake that is answered only the SYN, and nothing of what follows: ${host}`, async t => {
    const sniffer = open(t)
    await beServed(host, port)
    t.strictSame(sniffer.read().map(summary), passed('syn'))
  })

  t.test(`other ports are left alone, also when they connect from this one: ${host}`, async t => {
    const sniffer = open(t)
    await beRefused(host, otherPort)
    await beServed(host, otherPort)
    await beRefused(host, otherPort, port)
    t.strictSame(sniffer.read(), [])
  })
}

t.test('of many packets every one is seen', async t => {
  const sniffer = open(t)
  for (let i = 0; i < 20; i++) await beRefused('127.0.0.1', port)
  const kinds = sniffer.read().map(({ kind }) => kind)
  t.strictSame([kinds.filter(kind => kind === 'syn').length, kinds.length], [40, 80])
})
