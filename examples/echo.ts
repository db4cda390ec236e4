/**
 * An echo over a virtual link: two stacks in one process, joined back to back. It needs neither root nor a network, so
 * it is also the way to test a program that uses fake-tcp.
 *
 *     npm run build:ts && node dist/examples/echo.js
 */
import { createVirtualLink, type Socket, Stack } from 'fake-tcp'

/** Sends back whatever comes, batch by batch, without a copy. */
const echo = async (socket: Socket): Promise<void> => {
  for await (const batch of socket.batches()) socket.sendBatch(batch.bytes, batch.segmentSize)
}

const [a, b] = createVirtualLink()
const [client, server] = await Promise.all([Stack.open({ device: a }), Stack.open({ device: b })])

const listener = server.listen(4567)
const [socket, accepted] = await Promise.all([client.connect(server.address!, 4567), listener.accept()])
console.log(`${socket.remoteAddress} port ${socket.remotePort}, up to ${socket.maxDatagram} bytes a datagram`)
const echoing = echo(accepted)

// One by one: what is sent in one turn of the event loop travels as few super-packets.
for (const word of ['one', 'two', 'three']) socket.send(Buffer.from(word))
for (let i = 0; i < 3; i++) console.log(Buffer.from((await socket.recv())!).toString())

// Many equal datagrams at once: a thousand of 100 bytes each.
const sent = socket.sendBatch(new Uint8Array(100_000).fill(7), 100)
let back = 0
for await (const batch of socket.batches()) {
  back += batch.count
  if (back >= sent) break
}
console.log(`${back} of ${sent} datagrams came back`)

await socket.close()
await echoing
console.log(`the server's end: ${(await accepted.closed).reason}`)
await Promise.all([client.close(), server.close()])
