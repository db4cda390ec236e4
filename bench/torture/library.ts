/** The library alone: two stacks on a virtual link in this process. */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import {
  createVirtualLink,
  ErrorCode,
  type FakeTcpError,
  type Socket,
  Stack,
  type StackOptions,
} from '../../src/index.js'
import { askQueue, Poison } from './mortal-service.js'
import type { Context, Scenario, Verdict } from './scenario.js'
import { soak } from './soak.js'

const addressOfB = '192.168.201.2'

const withStacks = async (
  options: StackOptions,
  use: (a: Stack, b: Stack) => Promise<Verdict>,
  queues = 2,
): Promise<Verdict> => {
  const [linkA, linkB] = createVirtualLink({ queues })
  const [a, b] = await Promise.all([
    Stack.open({ ...options, device: linkA }),
    Stack.open({ ...options, device: linkB }),
  ])
  try {
    return await use(a, b)
  } finally {
    await Promise.all([a.close(), b.close()])
  }
}

/** Asks every few milliseconds, counts the answers, and knows the longest silence. */
class Pinger {
  sent = 0
  back = 0
  longestMs = 0
  #last = performance.now()
  readonly #socket: Socket

  constructor(socket: Socket) {
    this.#socket = socket
    void this.#listen()
  }

  ask(): void {
    this.#socket.send(Uint8Array.of(1, 2, 3))
    this.sent++
  }

  get lost(): number {
    return this.sent - this.back
  }

  async #listen(): Promise<void> {
    for await (const _ of this.#socket) {
      this.back++
      this.longestMs = Math.max(this.longestMs, performance.now() - this.#last)
      this.#last = performance.now()
    }
  }
}

const queueOf = async (socket: Socket): Promise<number> => {
  socket.send(Uint8Array.of(askQueue))
  return (await socket.recv())?.[0] ?? -1
}

const workerDeath = ({ short }: Context): Promise<Verdict> =>
  withStacks({ workerHeap: 64 }, async (a, b) => {
    await b.serve(80, new URL('mortal-service.js', import.meta.url))
    const victim = await a.connect(addressOfB, 80)
    const dying = await queueOf(victim)
    const pingers: Pinger[] = []
    const beside: Pinger[] = []
    while (pingers.length < 16 || beside.length < 4) {
      const socket = await a.connect(addressOfB, 80)
      const queue = await queueOf(socket)
      const pinger = new Pinger(socket)
      pingers.push(pinger)
      if (queue !== dying) beside.push(pinger)
    }
    const ways = Object.values(Poison)
    const deaths = short ? ways.length : 2 * ways.length
    for (let death = 0; death < deaths; death++) {
      victim.send(Uint8Array.of(ways[death % ways.length]))
      // Longer than a worker must live to be replaced at once again: one that dies young is made to wait.
      for (let i = 0; i < (short ? 200 : 1_100); i++) {
        for (const pinger of pingers) pinger.ask()
        await sleep(5)
      }
    }
    await sleep(500)
    const lost = beside.reduce((sum, pinger) => sum + pinger.lost, 0)
    const longest = Math.max(...pingers.map(({ longestMs }) => longestMs))
    const { connections } = b.stats()
    return {
      figure:
        `${deaths} deaths: ${connections} of ${pingers.length + 1} connections live, the ${beside.length} on the other queue lost ${lost} datagrams, ` +
        `longest silence ${Math.round(longest)} ms`,
      // The short form runs beside other tests.
      passed: connections === pingers.length + 1 && lost === 0 && longest <= (short ? 3_000 : 1_000),
    }
  })

const slowConsumer = ({ short }: Context): Promise<Verdict> =>
  withStacks({ receiveBytes: 1024 * 1024 }, async (a, b) => {
    const listener = b.listen(81)
    const open = async () => {
      const [client, server] = await Promise.all([a.connect(addressOfB, 81), listener.accept()])
      return { client, server }
    }
    const slow = await open()
    const others = await Promise.all(Array.from({ length: 4 }, open))
    const batch = new Uint8Array(40 * 1_400).fill(1)
    const wanted = short ? 20_000 : 1_000_000
    let arrived = 0
    let dropped = 0
    await Promise.all(
      others.map(async ({ client, server }) => {
        let got = 0
        const taken = (async () => {
          for await (const { count } of server.batches()) {
            got += count
            if (got >= wanted) return
          }
        })()
        let sent = 0
        const end = performance.now() + 60_000
        while (sent < wanted && performance.now() < end) {
          // No more under way than the lane to this thread holds for all, and what the link refuses is sent again.
          const wrote = sent - got < 160 ? client.sendBatch(batch, 1_400) : 0
          sent += wrote
          if (wrote === 0) await turn()
          else slow.client.sendBatch(batch, 1_400)
        }
        await Promise.race([taken, sleep(5_000)])
        arrived += got
        dropped += server.stats().dropped
      }),
    )
    const { dropped: counted } = slow.server.stats()
    return {
      figure: `${arrived} of ${wanted * 4} of the others arrived; of the one that nobody reads ${counted} were dropped and counted`,
      passed: arrived >= wanted * 4 && dropped === 0 && counted > 0,
    }
  })

const churn = ({ short }: Context): Promise<Verdict> =>
  withStacks({ maxConnections: 32_768 }, async (a, b) => {
    const listener = b.listen(82, { backlog: 4_096 })
    const servers: Socket[] = []
    void (async () => {
      for await (const socket of listener) servers.push(socket)
    })()
    const total = short ? 1_000 : 10_000
    const started = performance.now()
    let failed = 0
    for (let opened = 0; opened < total; opened += 500) {
      const clients = await Promise.all(
        Array.from({ length: 500 }, () =>
          a.connect(addressOfB, 82).catch(() => {
            failed++
            return undefined
          }),
        ),
      )
      // Half is closed by this side, half by the other, all at once and with data under way.
      for (const client of clients) client?.send(Uint8Array.of(9))
      const theirs = servers.splice(0)
      await Promise.all([
        ...clients.filter((_, i) => i % 2 === 0).map(client => client?.close()),
        ...theirs.filter((_, i) => i % 2 === 1).map(server => server.close()),
      ])
      await Promise.all([...clients.map(client => client?.close()), ...theirs.map(server => server.close())])
    }
    for (let i = 0; i < 100 && a.stats().connections + b.stats().connections > 0; i++) {
      for (const server of servers.splice(0)) await server.close()
      await sleep(50)
    }
    const left = a.stats().connections + b.stats().connections
    const perSecond = Math.round(total / ((performance.now() - started) / 1000))
    return {
      figure: `${total} connections (${perSecond} a second): ${failed} failed, ${left} left over`,
      passed: failed === 0 && left === 0,
    }
  })

const exhausted = ({ short }: Context): Promise<Verdict> =>
  withStacks({ maxConnections: short ? 1_000 : 40_000 }, async (a, b) => {
    void (async () => {
      for await (const _ of b.listen(83, { backlog: 4_096 }));
    })()
    let opened = 0
    let code: string | undefined
    while (code === undefined) {
      const waves = await Promise.allSettled(
        Array.from({ length: 500 }, () => a.connect(addressOfB, 83, { timeout: 20_000 })),
      )
      opened += waves.filter(({ status }) => status === 'fulfilled').length
      code = waves
        .map(wave => (wave.status === 'rejected' ? (wave.reason as FakeTcpError).code : undefined))
        .find(Boolean)
      if (opened > 40_000) break
    }
    const [wanted, limit] = short ? [ErrorCode.TABLE_FULL, 1_000] : [ErrorCode.PORTS_EXHAUSTED, 28_232]
    return { figure: `${opened} connections to one remote, then ${code}`, passed: code === wanted && opened === limit }
  })

const soaked = ({ short }: Context): Promise<Verdict> => soak(short ? 10 : 90)

export const library: readonly Scenario[] = [
  {
    name: 'worker-death',
    what: 'a queue worker dies again and again: an exception, process.exit(), a loop without end, a native call that sleeps, the heap’s limit',
    bar: 'all connections live, those of the other queue lose nothing, nobody waits longer than 1 s',
    phantun: false,
    run: workerDeath,
  },
  {
    name: 'slow-consumer',
    what: 'a socket that nobody reads gets as much as four others at full rate',
    bar: 'the others lose nothing; what it cannot hold is counted',
    phantun: false,
    run: slowConsumer,
  },
  {
    name: 'churn',
    what: '10,000 connections opened and closed by both sides, 500 at a time, with data under way',
    bar: 'none fails, none is left over',
    phantun: false,
    run: churn,
  },
  {
    name: 'ports-exhausted',
    what: 'connections to one remote until no local port is left',
    bar: 'after 28,232 of them ERR_FAKE_TCP_PORTS_EXHAUSTED',
    phantun: false,
    run: exhausted,
  },
  {
    name: 'soak',
    what: '90 s of churn, data, dying workers and stacks that come and go (`npm run soak -- --minutes N` for hours)',
    bar: 'no descriptor or resource more at the end; heap +≤ 4 MiB, memory +≤ 48 MiB from the first half on',
    phantun: false,
    run: soaked,
  },
]
