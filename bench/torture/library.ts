/** The library alone: two stacks on a virtual link in this process. */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { ErrorCode, type FakeTcpError, type Socket } from '../../src/index.js'
import type { Context, Scenario, Verdict } from '../checks/scenario.js'
import { churns } from './churn.js'
import { addressOfB, withStacks } from './library-stacks.js'
import { askQueue, Poison } from './mortal-service.js'
import { soak } from './soak.js'

/** Asks every few milliseconds, counts the answers, and keeps the longest silence. */
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
  const answer = socket.recv()
  for (;;) {
    socket.send(Uint8Array.of(askQueue))
    const found = await Promise.race([answer, sleep(1_000)])
    if (found !== undefined) return found[0]
  }
}

const workerDeath = ({ short }: Context): Promise<Verdict> =>
  withStacks({ workerHeap: 96 }, async (a, b) => {
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
      // The minimum life after which a worker that dies is replaced at once. The successor of one that dies younger
      // must wait.
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
          // No more is under way than the lane to this thread holds for all sockets. What the link refuses is sent
          // again.
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

/** Opens connections to one remote until one is refused. */
const exhaust = (maxConnections: number, limit: number, wanted: ErrorCode): Promise<Verdict> =>
  withStacks({ maxConnections }, async (a, b) => {
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
    return { figure: `${opened} connections, then ${code}`, passed: code === wanted && opened === limit }
  })

const exhausted = async ({ short }: Context): Promise<Verdict> => {
  const slots = await exhaust(1_000, 1_000, ErrorCode.TABLE_FULL)
  if (short) return slots
  const ports = await exhaust(40_000, 28_232, ErrorCode.PORTS_EXHAUSTED)
  return { figure: `${slots.figure}; ${ports.figure}`, passed: slots.passed && ports.passed }
}

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
  churns,
  {
    name: 'exhausted',
    what: 'connections to one remote until no slot is left, of 1,000, and until no local port is left',
    bar: 'after 1,000 ERR_FAKE_TCP_TABLE_FULL, after 28,232 ERR_FAKE_TCP_PORTS_EXHAUSTED',
    phantun: false,
    run: exhausted,
  },
  {
    name: 'soak',
    what: '90 s of churn, data, dying workers and stacks that come and go (`npm run soak -- --minutes N` for hours)',
    bar: 'no slot, descriptor or resource (timer, handle) more at the end; heap +≤ 4 MiB, memory +≤ 48 MiB from the first half on',
    phantun: false,
    run: soaked,
  },
]
