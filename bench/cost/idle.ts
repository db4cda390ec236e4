/**
 * What connections cost that do nothing: `idle <connections> <seconds>`. Two stacks on a virtual link in this process hold both ends of
 * each; prints one JSON line. Processor time is that of the whole process, workers included.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createVirtualLink, type Socket, Stack } from '../../src/index.js'

const [connections, seconds] = process.argv.slice(2).map(Number)
const options = { maxConnections: connections + 1000, logger: undefined }
const [linkA, linkB] = createVirtualLink({ queues: 1 })
const [a, b] = await Promise.all([
  Stack.open({ maxConnections: options.maxConnections, device: linkA }),
  Stack.open({ maxConnections: options.maxConnections, device: linkB }),
])
const listener = b.listen(81, { backlog: 4096 })
const kept: Socket[] = []
void (async () => {
  for await (const socket of listener) kept.push(socket)
})()

const memory = (): number => process.memoryUsage().rss
const open = async (count: number): Promise<void> => {
  const end = kept.length + count * 2
  for (let done = 0; done < count; done += 100) {
    kept.push(
      ...(await Promise.all(Array.from({ length: Math.min(100, count - done) }, () => a.connect('192.168.201.2', 81)))),
    )
  }
  while (kept.length < end) await sleep(10)
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
    workers: 2,
    cpuPercentPerWorker: ((user + system) / 1e6 / seconds / 2) * 100,
  }),
)
process.exit(0)
