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
    case 'server':
      return startServer({ local: Number(local), remote })
    case 'client':
      return startClient({ local, remote, idleMs: 60_000 })
    default:
      throw new Error('Say server or client first.')
  }
}

const tunnel = await start()
const { stats, remote: there } = tunnel.status()
console.log(`ready: ${stats.device} to ${there}`)

await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), tunnel.closed])
const { connections, total } = tunnel.status().stats
console.log(`flows: ${connections}; datagrams: ${total.traffic.datagramsIn} in, ${total.traffic.datagramsOut} out`)
await tunnel.close()
