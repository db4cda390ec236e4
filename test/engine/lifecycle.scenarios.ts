/** One process of lifecycle.test.ts, named by its argument: does what it says, prints a line, and must end by itself. */
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { createVirtualLink, Stack, type VirtualLinkOptions } from '../../src/index.js'
import { Obedient } from '../support/obedient.js'

const open = async (link: VirtualLinkOptions = {}) => {
  const [deviceA, deviceB] = createVirtualLink(link)
  const [a, b] = await Promise.all([Stack.open({ device: deviceA }), Stack.open({ device: deviceB })])
  const listener = b.listen(80)
  const connect = async () => {
    const [client, server] = await Promise.all([a.connect('192.168.201.2', 80), listener.accept()])
    client.send(Buffer.from('hello'))
    await server.recv()
    return { client, server }
  }
  return { a, b, deviceB, connect }
}
const service = new URL('./obedient-service.js', import.meta.url)
const code = (error: { code?: string }) => console.log(error.code)

const scenarios: Record<string, () => Promise<void>> = {
  /** Everything is closed in the right order. */
  closed: async () => {
    const { a, b, connect } = await open({ queues: 2 })
    const { client } = await connect()
    await client.close()
    await a.close()
    await b.close()
  },
  /** Only one end is closed: the other one notices. */
  oneEnd: async () => {
    const { a, b, connect } = await open({ queues: 2 })
    await connect()
    await a.close()
    await b.closed
  },
  /** Attempts are under way, and a service asks for more without end. */
  connecting: async () => {
    const { a, b } = await open()
    const attempts = Array.from({ length: 20 }, () => a.connect('192.0.2.1', 1, { timeout: 60_000 }).catch(code))
    const obedient = new Obedient({ remote: Uint8Array.of(192, 0, 2, 1), port: 1, storm: true })
    await a.serve(undefined, service, { workerData: obedient.data })
    await new Promise(resolve => setTimeout(resolve, 50))
    await Promise.all([a.close(), b.close(), ...attempts])
  },
  /** A worker dies, and its successor is not there yet. */
  dying: async () => {
    for (let pause = 0; pause < 60; pause += 6) {
      const { a, b } = await open()
      const obedient = new Obedient()
      await a.serve(undefined, service, { workerData: obedient.data })
      obedient.order(0, 'die')
      await new Promise(resolve => setTimeout(resolve, pause))
      await Promise.all([a.close(), b.close()])
    }
  },
  /** Timeouts, signals and iterators leave nothing that waits. */
  waiting: async () => {
    const { a, b, connect } = await open()
    const { client, server } = await connect()
    const controller = new AbortController()
    const late = a.connect('192.0.2.1', 1, { signal: controller.signal, timeout: 60_000 }).catch(code)
    const readers = [client.recv(), server.recv({ signal: controller.signal }).catch(code)]
    controller.abort()
    await late
    await Promise.all([a[Symbol.asyncDispose](), b[Symbol.asyncDispose](), ...readers])
  },
  /** `close` while opening, and what could not be opened. */
  failed: async () => {
    const [deviceA, deviceB] = createVirtualLink()
    await Stack.open({ device: deviceA, stackAddress: 'nonsense' }).catch(code)
    await Stack.open({ device: deviceB, maxConnections: 0 }).catch(code)
    await Stack.open({ tun: { hostAddress: '10.0.0.1' } }).catch(code)
    deviceB.close()
  },
  exit: async () => {
    const { connect } = await open({ queues: 2 })
    await connect()
    console.log('up')
    process.exit(0)
  },
  uncaught: async () => {
    const { connect } = await open({ queues: 2 })
    await connect()
    setTimeout(() => {
      throw new Error('on purpose')
    })
  },
  /** Stacks live in a thread that is terminated, and in one that ends. */
  thread: async () => {
    const file = fileURLToPath(import.meta.url)
    for (const what of ['terminated', 'closed']) {
      const worker = new Worker(file, { argv: [what === 'terminated' ? 'idle' : 'closed'] })
      const done = new Promise(resolve => worker.once('exit', resolve))
      if (what === 'terminated') {
        await new Promise(resolve => worker.stdout.once('data', resolve))
        await worker.terminate()
      }
      await done
      console.log(what)
    }
  },
  idle: async () => {
    const { connect } = await open({ queues: 2 })
    await connect()
    console.log('up')
  },
}

await scenarios[process.argv[2]]()
console.log('done')
const end = performance.now()
process.on('exit', () => {
  const held = performance.now() - end
  // The shortest timer that could be left is that of a connection attempt, 6 s.
  if (held > 4_000) console.log(`something kept the process for ${held} ms`)
})
