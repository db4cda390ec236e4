/**
 * A tunnel inside a program of yours: what `fake-tcp server` and `fake-tcp client` do, started and watched from code.
 * Making the interface needs root, or CAP_NET_ADMIN and access to /dev/net/tun.
 *
 *     npm run build:ts
 *     sudo node dist/examples/tunnel.js server 4567 127.0.0.1:51820
 *     sudo node dist/examples/tunnel.js client 127.0.0.1:4500 192.0.2.1:4567
 *
 * The kernel must forward and translate, as docs/operations.md has it. SIGINT or SIGTERM ends it.
 */
import { once } from 'node:events'
import { startClient, startServer, type Tunnel } from 'fake-tcp/tunnel'

const [role, local = '', remote = ''] = process.argv.slice(2)

const start = (): Promise<Tunnel> => {
  switch (role) {
    case 'server': {
      const ends = { hostAddress: '192.168.201.1', stackAddress: '192.168.201.2' }
      return startServer({ ...ends, local: Number(local), remote })
    }
    case 'client': {
      const ends = { hostAddress: '192.168.200.1', stackAddress: '192.168.200.2' }
      return startClient({ ...ends, local, remote, idleMs: 60_000 })
    }
    default:
      throw new Error('Say server or client first.')
  }
}

const tunnel = await start()
console.log(`ready: ${tunnel.stack.device} to ${tunnel.remote}`)

await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), tunnel.stack.closed])
const { connections, total } = tunnel.stack.stats()
console.log(`flows: ${connections}; datagrams: ${total.traffic.datagramsIn} in, ${total.traffic.datagramsOut} out`)
await tunnel.stack.close()
