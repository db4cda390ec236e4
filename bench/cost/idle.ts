/**
 * `idle <connections> <seconds>` measures what idle connections cost. Two stacks on a virtual link in this process hold
 * both ends of each connection. It prints one JSON line. Processor time is that of the whole process, workers included.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createVirtualLink, type Socket, Stack } from '../../src/index.js'

const [connections, seconds] = process.argv.slice(2).map(Number)
const maxConnections = connections + 1000
const [linkA, linkB] = createVirtualLink({ queues: 1 })
const [a, b] = await Promise.all([
  Stack.open({ maxConnections, device: linkA }),
  Stack.open({ maxConnections, device: linkB }),
])
const listener = b.listen(81, { backlog: 4096 })
const clients: Socket[] = []
const servers: Socket[] = []
void (async () => {
  for await (const socket of listener) servers.push(socket)
})()

const memory = (): number => process.memoryUsage().rss
const open = async (count: number): Promise<void> => {
  for (let left = count; left > 0; left -= 100) {
    const some = Array.from({ length: Math.min(100, left) }, () => a.connect('192.168.201.2', 81))
    clients.push(...(await Promise.all(some)))
  }
  // A server that was too busy for the third packet of a handshake makes the connection at the first datagram.
  while (servers.length < clients.length) {
    await sleep(100)
    const accepted = new Set(servers.map(server => server.remotePort))
    for (const client of clients) if (!accepted.has(client.localPort)) client.send(Uint8Array.of(0))
  }
}

await open(1000)
await sleep(500)
const before = memory()
const start = performance.now()
await open(connections - 1000)
const openSeconds = (performance.now() - start) / 1000
await sleep(1000)
const grown = memory() - before
const cpu = process.cpuUsage()
await sleep(seconds * 1000)
const { user, system } = process.cpuUsage(cpu)
console.log(
  JSON.stringify({
    connections: a.stats().connections,
    openPerSecond: (connections - 1000) / openSeconds,
    // Both ends of each connection are in this process.
    bytesPerConnection: grown / (connections - 1000) / 2,
    // Each of the two stacks has one worker.
    cpuPercentPerWorker: ((user + system) / 1e6 / seconds / 2) * 100,
  }),
)
process.exit(0)
