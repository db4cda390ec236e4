/**
 * A server over a TUN interface: answers each datagram with the same bytes in capitals, until SIGINT or SIGTERM.
 * Making the interface needs root, or CAP_NET_ADMIN and access to /dev/net/tun.
 *
 *     npm run build:ts && sudo node dist/examples/tun-server.js [PORT]
 *
 * To the kernel, the stack is a host at 192.168.201.2 behind that interface. A client on the same machine reaches it
 * there. For others, forward and translate as docs/operations.md has it.
 */
import { once } from 'node:events'
import { type Socket, Stack } from 'fake-tcp'

const port = Number(process.argv[2] ?? 4567)

const stack = await Stack.open({
  tun: { hostAddress: '192.168.201.1', stackAddress: '192.168.201.2' },
  // Notices clients that vanished.
  keepalive: { interval: 15_000, probes: 3 },
})
console.log(`listening at ${stack.address} port ${port}, interface ${stack.device}`)

const serve = async (socket: Socket): Promise<void> => {
  console.log(`${socket.remoteAddress} is here`)
  for await (const datagram of socket) {
    const answer = Buffer.from(Buffer.from(datagram).toString().toUpperCase())
    socket.send(answer)
  }
  const { reason } = await socket.closed
  console.log(`${socket.remoteAddress} is gone: ${reason}, ${socket.stats().datagramsIn} datagrams came`)
}

const accept = async (): Promise<void> => {
  // Each connection is served beside the others.
  for await (const socket of stack.listen(port)) void serve(socket)
}
const accepting = accept()

await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
await stack.close()
await accepting
