/**
 * A service: a module that runs inside the queue workers, so that datagrams never change threads. This program starts
 * examples/echo-service.ts on one end of a virtual link and talks to it from the other.
 *
 *     npm run build:ts && node dist/examples/service.js
 */
import { createVirtualLink, Stack } from 'fake-tcp'
import type { EchoData } from './echo-service.js'

const [a, b] = createVirtualLink({ queues: 2 })
const [client, server] = await Promise.all([
  Stack.open({ device: a }),
  Stack.open({
    device: b,
    logger: {
      debug() {},
      info: (fields, text) => console.log(`${text}: ${fields.datagrams} datagrams, ${fields.reason}`),
      warn: (fields, text) => console.error(text, fields),
      error: (fields, text) => console.error(text, fields),
    },
  }),
])

// Resolves once every worker has loaded the module.
const workerData: EchoData = { greeting: 'welcome' }
await server.serve(7, new URL('./echo-service.js', import.meta.url), { workerData })

const socket = await client.connect(server.address!, 7)
console.log(Buffer.from((await socket.recv())!).toString())

const sent = socket.sendBatch(new Uint8Array(50_000), 1_000)
let back = 0
for await (const batch of socket.batches()) {
  back += batch.count
  if (back >= sent) break
}
console.log(`${back} of ${sent} datagrams came back`)

await socket.close()
while (server.stats().connections > 0) await new Promise(resolve => setTimeout(resolve, 10))
await Promise.all([client.close(), server.close()])
