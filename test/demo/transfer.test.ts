import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeFile, PieceReader, PieceWriter, sha256 } from '../../src/demo/file.js'
import { FileReceiver } from '../../src/demo/file-receiver.js'
import { FileSender } from '../../src/demo/file-sender.js'
import { Layout } from '../../src/demo/layout.js'
import { measureRoundTrips } from '../../src/demo/pings.js'
import { UdpPort } from '../../src/demo/udp-port.js'

/** In the relay's socket no more may wait than its default buffer holds. */
const window = 48
/** Long enough for many questions, in milliseconds. */
const patienceMs = 2_500

/** Carries datagrams between a sender and `port`, like a tunnel; those for which `lose` says so are lost. The port to send to. */
const relay = async (t: Test, port: number, lose: (forward: boolean, index: number) => boolean): Promise<number> => {
  const [near, far] = [createSocket('udp4'), createSocket('udp4')]
  t.teardown(() => [near.close(), far.close()])
  let source = 0
  const counts = [0, 0]
  const pass = (forward: boolean, through: Socket, message: Buffer, to: number) => {
    if (!lose(forward, counts[Number(forward)]++)) through.send(message, to, '127.0.0.1')
  }
  near.on('message', (message, from) => {
    source = from.port
    pass(true, far, message, port)
  })
  far.on('message', message => pass(false, near, message, source))
  for (const socket of [near, far]) {
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
  }
  return near.address().port
}

const transfer = async (t: Test, bytes: number, lose: (forward: boolean, index: number) => boolean) => {
  const directory = t.testdir()
  const [source, copy] = [join(directory, 'source'), join(directory, 'copy')]
  await makeFile(source, bytes)
  const [near, far] = [new UdpPort(), new UdpPort()]
  t.teardown(() => [near.close(), far.close()])
  const writer = new PieceWriter(copy)
  const receiver = new FileReceiver(far, writer, window / 8)
  near.connect(await relay(t, far.bind(0), lose))
  const reader = new PieceReader(source)
  const layout = new Layout(bytes)
  const sender = new FileSender(near, reader, layout, window, patienceMs)
  const through = async () => {
    await sender.hello()
    await sender.stream()
    const lost = await sender.repair()
    t.equal(sender.bytesThrough, bytes)
    return { lost, roundTrips: await measureRoundTrips(near, 50) }
  }
  const { lost, roundTrips } = await through().finally(() => {
    reader.close()
    writer.close()
  })
  t.equal(receiver.bytes, bytes)
  t.equal(receiver.foreign, 0)
  t.equal(await sha256(copy), await sha256(source), 'the same content')
  return { lost, sender, layout, roundTrips }
}

t.test('without loss nothing is sent twice', async t => {
  const { lost, sender, roundTrips } = await transfer(t, 5_000_003, () => false)
  t.equal(lost, 0)
  t.equal(sender.resent, 0)
  t.ok(sender.control >= 2)
  t.equal(roundTrips.pongs, 50)
  t.ok(roundTrips.p50 > 0 && roundTrips.p99 >= roundTrips.p50 && roundTrips.p99 < 1_000)
})

t.test('what is lost is sent again', async t => {
  const { lost, sender, roundTrips } = await transfer(t, 3_000_000, (forward, index) => forward && index % 13 === 5)
  t.ok(lost > 150, `${lost} lost`)
  t.ok(sender.resent >= lost)
  t.ok(roundTrips.pongs < 50)
})

t.test('lost questions and reports', async t => {
  const { lost, sender } = await transfer(t, 500_000, (forward, index) => index % 3 === (forward ? 0 : 1))
  t.ok(lost > 0)
  t.ok(sender.resent >= lost)
})

t.test('a whole window is lost, and the end', async t => {
  const { count } = new Layout(400_000)
  const { lost } = await transfer(
    t,
    400_000,
    (forward, index) => forward && ((index > 100 && index <= 100 + window) || (index > count - 20 && index < count)),
  )
  t.ok(lost >= window, `${lost} lost`)
})

t.test('a silent tunnel is given up', { timeout: 20_000 }, async t => {
  await t.rejects(
    transfer(t, 1_000, () => true),
    { code: 'ERR_FAKE_TCP_DEMO', message: /Nothing has come back/ },
  )
})
