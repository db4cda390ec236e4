/**
 * Churn, data and faults for as long as wanted, and whether anything grows. `npm run soak -- --minutes N` runs it
 * alone.
 */
import { readdirSync } from 'node:fs'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Socket } from '../../src/index.js'
import type { Verdict } from '../checks/scenario.js'
import { addressOfB, withStacks } from './library-stacks.js'
import { Poison } from './mortal-service.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

interface Sample {
  heapMiB: number
  residentMiB: number
  descriptors: number
  resources: number
}

const sample = async (): Promise<Sample> => {
  // Whatever closed a moment ago lets go of its handles in the next turns, and of its threads a little later.
  await sleep(500)
  collect()
  const { heapUsed, rss } = process.memoryUsage()
  return {
    heapMiB: heapUsed / 2 ** 20,
    residentMiB: rss / 2 ** 20,
    descriptors: readdirSync('/proc/self/fd').length,
    resources: process.getActiveResourcesInfo().length,
  }
}

const batch = new Uint8Array(20 * 1_000)

/** Whether a datagram came. On a busy machine one may be lost, and nobody sends it again. */
const taken = async (socket: Socket): Promise<boolean> =>
  (await Promise.race([socket.recv(), sleep(500, undefined, { ref: false })])) !== undefined

/**
 * Opens two stacks, lets them work and lose a worker each, and closes them. Answers how many datagrams arrived, and how
 * many slots were still taken when no connection was open.
 */
const cycle = (): Promise<{ arrived: number; slots: number }> =>
  withStacks({ keepalive: { interval: 1_000, probes: 3 } }, async (a, b) => {
    let arrived = 0
    const open = () => a.stats().connections + b.stats().connections
    await b.serve(80, new URL('mortal-service.js', import.meta.url))
    const listener = b.listen(81)
    for (let round = 0; round < 10; round++) {
      const servers = Promise.all(Array.from({ length: 20 }, () => listener.accept()))
      const clients = await Promise.all(Array.from({ length: 20 }, () => a.connect(addressOfB, 81)))
      const accepted = await servers
      const echoed = await a.connect(addressOfB, 80)
      for (const client of clients) {
        client.sendBatch(batch, 1_000)
        await turn()
      }
      const read = async (server: Socket) => {
        for (let got = 0; got < 20 && (await taken(server)); got++) arrived++
      }
      await Promise.all(accepted.map(read))
      echoed.send(Uint8Array.of(1))
      await taken(echoed)
      if (round % 5 === 4) echoed.send(Uint8Array.of(round % 2 === 0 ? Poison.throw : Poison.exit))
      await Promise.all(clients.map((client, i) => (i % 2 === 0 ? client : accepted[i]).close()))
      await Promise.all([...clients, ...accepted, echoed].map(socket => socket.close()))
    }
    // The RST may have been lost with a worker.
    for (let i = 0; i < 100 && open() > 0; i++) await sleep(50)
    return { arrived, slots: open() }
  })

/** Runs `seconds` of cycles. The second half is compared with the first. */
export const soak = async (seconds: number, say: (text: string) => void = () => {}): Promise<Verdict> => {
  await cycle()
  const first = await sample()
  let middle = first
  let cycles = 0
  let arrived = 0
  let slots = 0
  const start = performance.now()
  for (let elapsed = 0; elapsed < seconds; elapsed = (performance.now() - start) / 1000) {
    const done = await cycle()
    arrived += done.arrived
    slots += done.slots
    cycles++
    // Samples are as rare before the middle as after it, since each one collects garbage first.
    if (middle === first && elapsed >= seconds / 2) middle = await sample()
    if (cycles % 20 === 0) say(`${Math.round(elapsed)} s, ${cycles} cycles: ${JSON.stringify(await sample())}`)
  }
  const last = await sample()
  const more = (key: keyof Sample, since: Sample): number => last[key] - since[key]
  const round = (n: number): string => `${n < 0 ? '−' : '+'}${Math.abs(n).toFixed(1)}`
  return {
    figure:
      `${cycles} cycles, ${arrived} datagrams: slots +${slots}, descriptors ${round(more('descriptors', first))}, resources ${round(more('resources', first))}, ` +
      `heap ${round(more('heapMiB', middle))} MiB, memory ${round(more('residentMiB', middle))} MiB`,
    passed:
      slots === 0 &&
      more('descriptors', first) <= 0 &&
      more('resources', first) <= 0 &&
      more('heapMiB', middle) <= 4 &&
      // Threads and their heaps have taken what they need within the first half minute.
      (seconds < 60 || more('residentMiB', middle) <= 48),
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { minutes: { type: 'string', default: '60' } } })
  const minutes = Number(values.minutes)
  if (!(minutes > 0)) {
    console.error('soak: --minutes takes a positive number.')
    process.exit(2)
  }
  const { figure, passed } = await soak(minutes * 60, text => console.log(text))
  console.log(`${passed ? 'ok' : 'FAILED'}: ${figure}`)
  process.exit(passed ? 0 : 1)
}
