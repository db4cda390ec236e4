/**
 * Thousands of connections that open and close at once, with each kind of consumer: the main thread, services in
 * workers, another thread.
 */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { FakeTcpError, Socket, Stack } from '../../src/index.js'
import type { Context, Scenario, Verdict } from '../checks/scenario.js'
import { addressOfB, withStacks } from './library-stacks.js'
import { hangUp } from './mortal-service.js'

/** The port of each consumer. */
const port = { main: 82, service: 83, thread: 84 } as const
const patienceMs = 60_000

/** Takes what is accepted on `port.main`. It closes every other connection at once, and their peers close the rest. */
const acceptHere = async (b: Stack): Promise<void> => {
  let number = 0
  for await (const socket of b.listen(port.main, { backlog: 16_384 })) if (number++ % 2 === 0) void socket.close()
}

const acceptElsewhere = async (b: Stack, thread: Worker): Promise<void> => {
  for await (const socket of b.listen(port.thread, { backlog: 16_384 })) {
    thread.postMessage(socket.transfer())
  }
}

const churn = ({ short }: Context): Promise<Verdict> =>
  // A RST may be lost where thousands are sent at once. The keepalive then notices that the peer is gone.
  withStacks({ maxConnections: 32_768, keepalive: { interval: 1_000, probes: 2 } }, async (a, b) => {
    const thread = new Worker(new URL('churn-thread.js', import.meta.url))
    await b.serve(port.service, new URL('mortal-service.js', import.meta.url))
    void acceptHere(b)
    void acceptElsewhere(b, thread)
    const total = short ? 1_500 : 10_000
    const ports = Object.values(port)
    const failures = new Map<string, number>()
    const one = async (i: number): Promise<void> => {
      let socket: Socket
      try {
        socket = await a.connect(addressOfB, ports[i % ports.length], { timeout: patienceMs })
      } catch (error) {
        const { code } = error as FakeTcpError
        failures.set(code, (failures.get(code) ?? 0) + 1)
        return
      }
      // Data is under way, and this side closes half of the connections.
      socket.send(Uint8Array.of(hangUp))
      if (i % 4 < 2) await socket.close()
      else await Promise.race([socket.closed, sleep(500)])
      await socket.close()
    }
    const started = performance.now()
    await Promise.all(Array.from({ length: total }, (_, i) => one(i)))
    const took = (performance.now() - started) / 1000
    const open = () => a.stats().connections + b.stats().connections
    for (let i = 0; i < 200 && open() > 0; i++) await sleep(50)
    const left = open()
    thread.postMessage('stop')
    await once(thread, 'exit')
    const failed = [...failures].map(([code, count]) => `${count} ${code}`).join(', ') || 'none'
    return {
      figure: `${total} connections in ${took.toFixed(1)} s, failed: ${failed}, left over: ${left}`,
      passed: failures.size === 0 && left === 0,
    }
  })

export const churns: Scenario = {
  name: 'churn',
  what: '10,000 connections opened at once and closed by both sides, over two queues to three kinds of consumers, with data under way',
  bar: 'none fails, none is left over',
  phantun: false,
  run: churn,
}
