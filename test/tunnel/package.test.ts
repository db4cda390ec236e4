/** The tunnel as a program has it that installed the package: over a virtual link, without any privilege. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createVirtualLink, ErrorCode, FakeTcpError } from 'fake-tcp'
import * as surface from 'fake-tcp/tunnel'
import t, { type Test } from 'tap'

const { startClient, startServer, TunnelErrorCode } = surface
const descriptors = () => readdirSync('/proc/self/fd').length

const open = async (t: Test, port = 0): Promise<Socket> => {
  const socket = createSocket('udp4').bind(port, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return socket
}

/** A UDP port that is free now. */
const freePort = async (): Promise<number> => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  await once(socket, 'close')
  return port
}

/** A service that sends everything back. */
const openEcho = async (t: Test): Promise<number> => {
  const echo = await open(t)
  echo.on('message', (message, { port, address }) => echo.send(message, port, address))
  return echo.address().port
}

t.test('what it exports', async t => {
  t.same(Object.keys(surface).sort(), ['TunnelErrorCode', 'startClient', 'startServer'])
  t.same(TunnelErrorCode, { UDP: 'ERR_FAKE_TCP_UDP' })
})

t.test('datagrams there and back', async t => {
  const [a, b] = createVirtualLink()
  const local = `127.0.0.1:${await freePort()}`
  const remote = `127.0.0.1:${await openEcho(t)}`
  const source = await open(t)
  let client: surface.Tunnel | undefined
  let server: surface.Tunnel | undefined
  {
    await using ofServer = await startServer({ device: b, local: 4567, remote, maxFlows: 10 })
    await using ofClient = await startClient({ device: a, local, remote: '192.168.201.2:4567', idleMs: 60_000 })
    client = ofClient
    server = ofServer
    for (const text of ['first', 'second', 'third']) {
      source.send(text, Number(local.split(':')[1]), '127.0.0.1')
      const [answer] = (await once(source, 'message')) as [Buffer]
      t.equal(answer.toString(), text)
    }
    t.match(client.status(), {
      role: 'client',
      local,
      remote: '192.168.201.2:4567',
      stats: { device: 'virtual-a', connections: 1, total: { traffic: { datagramsIn: 3, datagramsOut: 3 } } },
    })
    t.match(server.status(), { role: 'server', local: 'port 4567', remote, stats: { connections: 1 } })
    t.ok(client.status().uptime < 60)
    t.same(JSON.parse(JSON.stringify(client.status())).udp, client.status().udp, 'plain data')
  }
  await Promise.all([client.closed, server.closed])
  t.equal(client.status().stats.connections, 0)
  await client.close()
})

t.test('a start that fails leaves nothing', async t => {
  const taken = await open(t)
  const { port } = taken.address()
  const before = descriptors()
  const [device, other] = createVirtualLink()
  other.close()
  const error = await startClient({ device, local: `127.0.0.1:${port}`, remote: '192.0.2.1:1' }).catch(failed => failed)
  t.ok(error instanceof FakeTcpError)
  t.match(error, { code: TunnelErrorCode.UDP, message: /is in use by another program/ })
  t.equal(descriptors(), before, 'the device is closed')
  await t.rejects(startClient({ local: 'x', remote: '192.0.2.1:1' }), { code: ErrorCode.INVALID_ARGUMENT })
})

t.test('no IPv6 on the way', async t => {
  const [a, b] = createVirtualLink()
  t.teardown(() => b.close())
  const { stackAddress6, ...device } = a
  t.ok(stackAddress6)
  const local = `127.0.0.1:${await freePort()}`
  await t.rejects(startClient({ device, local, remote: '[2001:db8::1]:1' }), {
    code: ErrorCode.NO_IPV6,
    message: '`remote` is an IPv6 address, and `device` has none: give an IPv4 address.',
  })
})
