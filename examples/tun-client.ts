/**
 * A client over a TUN interface: sends a few words to examples/tun-server.ts and prints the answers. Making the
 * interface needs root, or CAP_NET_ADMIN and access to /dev/net/tun.
 *
 *     npm run build:ts && sudo node dist/examples/tun-client.js 192.168.201.2 [PORT]
 *
 * Packets leave by the kernel's routes, so it must forward between the interface and the way out (docs/operations.md).
 */
import { ErrorCode, FakeTcpError, Stack } from 'fake-tcp'

const [address = '192.168.201.2', port = '4567'] = process.argv.slice(2)

const stack = await Stack.open({ tun: { hostAddress: '192.168.200.1', stackAddress: '192.168.200.2' } })
try {
  const socket = await stack.connect(address, Number(port), { timeout: 3_000 })
  for (const word of ['hello', 'over', 'fake tcp']) {
    socket.send(Buffer.from(word))
    // Datagrams may be lost, as with UDP: whoever waits for one needs a limit.
    const answer = await socket.recv({ signal: AbortSignal.timeout(1_000) })
    console.log(answer === undefined ? 'closed' : Buffer.from(answer).toString())
  }
  await socket.close()
} catch (error) {
  if (!(error instanceof FakeTcpError)) throw error
  console.error(error.code === ErrorCode.CONNECT_REFUSED ? 'Nobody listens there.' : error.message)
  process.exitCode = 1
} finally {
  await stack.close()
}
