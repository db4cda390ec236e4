/** The library on real TUN interfaces: this process is one end, a child in the other namespace is the other. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import t, { type Test } from 'tap'
import { ErrorCode, type Socket, Stack, type TunOptions } from '../../src/index.js'
import { type Child, stopAll } from '../../src/lab/child.js'
import { addresses, createNetwork } from '../../src/lab/network.js'
import { LibrarySource } from '../support/library.js'
import { endWith, ports, program, tuns } from '../support/programs.js'
import { exchange, randomDatagrams } from '../support/udp-source.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))
const port = ports.server
const remote = { 4: addresses.b.tunPeer, 6: addresses.b.tunPeer6 } as const
const largest = { 4: 1_460, 6: 1_440 } as const
const tun: TunOptions = {
  name: tuns.a,
  hostAddress: addresses.a.tunLocal,
  stackAddress: addresses.a.tunPeer,
  hostAddress6: 'fcc8::1',
  stackAddress6: addresses.a.tunPeer6,
}

const startEcho = async (t: Test, ...flags: string[]): Promise<Child> => {
  const command = [...program('support/library-echo.js'), '--tun', tuns.b, '--port', String(port), ...flags]
  const echo = endWith(t, network.b.run(command, { name: 'library-echo', seconds: 60 }))
  await echo.until(() => echo.stderr.includes('ready'), 'readiness')
  return echo
}

const endings = (echo: Child): { reason: string; datagrams: number }[] =>
  echo.stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as { reason: string; datagrams: number })

/** Both ends; closed when the test ends. */
const open = async (t: Test, options: TunOptions = {}, ...flags: string[]): Promise<{ stack: Stack; echo: Child }> => {
  const echo = await startEcho(t, ...flags)
  const stack = await Stack.open({ tun: { ...tun, ...options } })
  t.teardown(() => stack.close())
  return { stack, echo }
}

/** Sends batches, and takes as many bytes back. Answers whether they are the same. */
const batchesComeBack = async (
  socket: Socket,
  segmentSize: number,
  segments: number,
  rounds: number,
): Promise<boolean> => {
  for (let round = 0; round < rounds; round++) {
    const sent = randomBytes(segmentSize * segments - (round % 3))
    if (socket.sendBatch(sent, segmentSize) !== segments) return false
    const back: Buffer[] = []
    let length = 0
    for await (const batch of socket.batches()) {
      if (batch.segmentSize !== segmentSize && batch.count > 1) return false
      if (batch.count !== Math.ceil(batch.bytes.length / batch.segmentSize)) return false
      back.push(Buffer.from(batch.bytes))
      length += batch.bytes.length
      if (length >= sent.length) break
    }
    if (!Buffer.concat(back).equals(sent)) return false
  }
  return true
}

const variants: [name: string, options: TunOptions, flags: string[]][] = [
  ['super-packets, two queues', { queues: 2 }, []],
  ['super-packets here only, one queue', { queues: 1 }, ['--no-offload', '--queues', '1']],
  ['no offload', { offload: false }, ['--no-offload']],
]
for (const [name, options, flags] of variants) {
  t.test(name, async t => {
    const { stack } = await open(t, options, ...flags)
    t.equal(stack.stats().offload, options.offload !== false)
    for (const family of [4, 6] as const) {
      const socket = await stack.connect(remote[family], port)
      t.match(socket, { remoteAddress: remote[family], remotePort: port, maxDatagram: largest[family] })
      const sizes = Array.from({ length: largest[family] }, (_, i) => i + 1)
      const single = new LibrarySource(socket)
      t.equal(await exchange([single], [randomDatagrams(sizes)], 32), undefined, `IPv${family}, every size`)
      const second = await stack.connect(remote[family], port)
      t.ok(await batchesComeBack(second, 1_400, 46, 20), `IPv${family}, full batches`)
      t.ok(await batchesComeBack(second, 100, 100, 20), `IPv${family}, batches of small datagrams`)
      t.ok(await batchesComeBack(second, largest[family], 80, 5), `IPv${family}, batches longer than a super-packet`)
      await Promise.all([socket.close(), second.close()])
    }
    t.equal(stack.stats().connections, 0)
  })
}

t.test('many connections at once', async t => {
  const { stack, echo } = await open(t)
  const sockets = await Promise.all(Array.from({ length: 100 }, () => stack.connect(remote[4], port)))
  t.equal(new Set(sockets.map(socket => socket.localPort)).size, 100, 'each has its own port')
  const sources = sockets.map(socket => new LibrarySource(socket))
  const datagrams = sources.map(() => randomDatagrams(Array(20).fill(500)))
  t.equal(await exchange(sources, datagrams, 4), undefined)
  await Promise.all(sockets.map(socket => socket.close()))
  await echo.until(() => endings(echo).length === 100, 'news of every end')
  t.same(new Set(endings(echo).map(({ reason }) => reason)), new Set(['reset']))
  t.ok(endings(echo).every(({ datagrams }) => datagrams === 20))
})

t.test('connections that fail', async t => {
  const { stack } = await open(t)
  await t.rejects(stack.connect(remote[4], port + 1), { code: ErrorCode.CONNECT_REFUSED }, 'nobody listens')
  await t.rejects(stack.connect(remote[6], port + 1), { code: ErrorCode.CONNECT_REFUSED }, 'nobody listens, IPv6')
  const start = performance.now()
  await t.rejects(stack.connect('192.0.2.1', port, { timeout: 300 }), { code: ErrorCode.CONNECT_TIMEOUT })
  const abort = stack.connect('192.0.2.1', port, { signal: AbortSignal.timeout(100) })
  await t.rejects(abort, { code: ErrorCode.ABORTED })
  t.ok(performance.now() - start < 2_000, 'in time')
  const four = await Stack.open({ tun: { hostAddress: '192.168.210.1', stackAddress: '192.168.210.2' } })
  t.teardown(() => four.close())
  await t.rejects(four.connect(remote[6], port), { code: ErrorCode.NO_ADDRESS })
  await t.rejects(Stack.open({ tun }), { code: ErrorCode.ADDRESS_TAKEN })
  const elsewhere = { hostAddress: '192.168.211.1', stackAddress: '192.168.211.2' }
  await t.rejects(Stack.open({ tun: { ...elsewhere, name: stack.device } }), { code: ErrorCode.NAME_TAKEN })
})

t.test('ends', async t => {
  const { stack, echo } = await open(t)
  const [ours, theirs, last] = await Promise.all([1, 2, 3].map(() => stack.connect(remote[4], port)))
  await ours.close()
  t.same(await ours.closed, { reason: 'local' })
  await echo.until(() => endings(echo).length === 1, 'news')
  theirs.send(Buffer.from('bye'))
  t.same(await theirs.closed, { reason: 'reset' })
  t.equal(await theirs.recv(), undefined)
  t.throws(() => theirs.send(Buffer.from('too late')), { code: ErrorCode.CLOSED })
  await echo.until(() => endings(echo).length === 2, 'news')
  t.equal(stack.stats().connections, 1)
  await stack.close()
  t.same(await last.closed, { reason: 'stack' })
  await echo.until(() => endings(echo).length === 3, 'news')
  t.same(
    endings(echo).map(({ reason }) => reason),
    ['reset', 'local', 'reset'],
  )
  t.notMatch(readFileSync('/proc/net/dev', 'latin1'), tuns.a, 'the interface is gone')
  await t.rejects(stack.connect(remote[4], port), { code: ErrorCode.CLOSED })
})

t.test('closed as soon as they are open', async t => {
  const { stack, echo } = await open(t)
  for (let round = 1; round <= 5; round++) {
    // The peer may hear of the end before it has the connection.
    const connections = Array.from({ length: 40 }, async () => (await stack.connect(remote[4], port)).close())
    await Promise.all(connections)
    await echo.until(() => endings(echo).length === 40 * round, 'news of every end', 3)
  }
})

t.test('the peer goes away with its stack', async t => {
  const { stack, echo } = await open(t)
  const socket = await stack.connect(remote[6], port)
  // The echo shows that the peer has the connection: it exists there a moment later than here.
  t.equal(await exchange([new LibrarySource(socket)], [randomDatagrams([100])], 1), undefined)
  await echo.stop()
  t.same(await socket.closed, { reason: 'reset' })
})

t.test('a real TCP is turned away at once', async t => {
  const { stack } = await open(t)
  stack.listen(port)
  for (const host of [addresses.a.tunPeer, addresses.a.tunPeer6]) {
    for (const to of [port, port + 1]) {
      const socket = connectTcp({ host, port: to, timeout: 2_000 })
      const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
      t.equal(error.code, 'ECONNREFUSED', `${host} ${to}`)
      socket.destroy()
    }
  }
  t.equal(stack.stats().connections, 0)
})
