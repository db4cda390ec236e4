import type { Shape } from '../src/lab/network.js'
import { names } from './ends.js'
import type { Metrics } from './scenario.js'
import type { Summary } from './summary.js'

/** A target, and whether it was reached. */
export interface Verdict {
  what: string
  /** The row that it stands beside. None means that it concerns all of our rows. */
  scenario?: string
  shape?: Shape
  peer?: string
  need: '≥' | '≤'
  bound: number
  unit: '×' | '%' | ''
  /** The reference that it is compared with, if it is. */
  versus?: string
  /** Undefined when what it needs was not measured. */
  value?: number
  state: 'ok' | 'below' | 'above' | 'not measured'
  /** For a target that was not reached: what stands in the way, and what was tried. */
  answer?: string
}

type Median = (scenario: string, shape: Shape, peer: string) => Metrics | undefined
type Target = Omit<Verdict, 'value' | 'state'> & { find(median: Median, rows: readonly Summary[]): number | undefined }
/** For a target that was not reached and that nobody has looked into. */
const UNEXPLAINED = 'Not explained yet: `npm run bench -- --profile` shows where the time goes.'

const divide = (value: number | undefined, base: number | undefined): number | undefined =>
  value === undefined || base === undefined || base === 0 ? undefined : value / base

type Key = keyof Metrics

/** The figure of `peer` over that of `base` in the same scenario. */
const compare = (
  what: string,
  [scenario, shape, peer]: readonly [string, Shape, string],
  base: string,
  figure: Key,
  need: '≥' | '≤',
  bound: number,
): Target => ({
  ...{ what, scenario, shape, peer, need, bound, unit: '×', versus: base },
  find: median => divide(median(scenario, shape, peer)?.[figure], median(scenario, shape, base)?.[figure]),
})

const rate = (what: string, scenario: string, shape: Shape, peer: string, base: string, bound: number): Target =>
  compare(what, [scenario, shape, peer], base, 'datagramsPerSecond', '≥', bound)

/** The share of what the kernel alone carries, in percent. */
const share = (what: string, peer: string, limit: string, bound: number): Target => {
  const target = rate(what, 'library/1400', 'plain', peer, limit, bound)
  return {
    ...target,
    unit: '%',
    find: (median, rows) => {
      const part = target.find(median, rows)
      return part === undefined ? undefined : part * 100
    },
  }
}

/** The lowest CPU time per GB that phantun took in any scenario with one flow of full datagrams. */
const phantunAtItsBest = (rows: readonly Summary[]): number | undefined => {
  const costs = rows
    .filter(row => row.peer === names.phantun && row.shape === 'plain' && row.flows === 1 && row.size === 1400)
    .map(row => row.median?.cpuSecondsPerGB ?? 0)
    .filter(cost => cost > 0)
  return costs.length > 0 ? Math.min(...costs) : undefined
}

/**
 * The worst run of any of our pairs. Mixed pairs are left out, since phantun hands the datagrams of one connection to
 * parallel tasks.
 */
const worst = (rows: readonly Summary[], figure: 'reordered' | 'corrupted'): number | undefined => {
  const highest = rows
    .filter(row => row.role === 'ours')
    .map(row => row.high?.[figure])
    .filter(value => value !== undefined)
  return highest.length > 0 ? Math.max(...highest) : undefined
}

const { ours, phantun, crate, service, batches, one, plainBatches, plainService } = names
const atLatency = ['tunnel/latency', 'plain', ours] as const

const latency =
  'Both programs wake four threads per round trip. Ours take longer for each wake: Node.js’s event loop polls twice per turn, since its workers measure idle time, and the addon’s epoll set comes on top. V8’s memory reducer made the 99th percentile worse until it was switched off (docs/decisions/no-memory-reducer.md).'

const targets: readonly Target[] = [
  {
    ...rate('Tunnel, plain sender: rate with at most 0.1 % loss', 'tunnel/search', 'plain', ours, phantun, 6),
    answer:
      'The sender is the limit: one system call per datagram, over the veth and without any tunnel, is the row `UDP without a tunnel`. Generator, client, server and sink share the cores. The client takes what is there, and loses nothing of it.',
  },
  rate('Tunnel, plain sender: delivered at saturation', 'tunnel/plain', 'plain', ours, phantun, 4),
  {
    ...rate('Tunnel, GSO sender: delivered at saturation', 'tunnel/gso', 'plain', ours, phantun, 12),
    answer:
      'Most of the time of client and server is the kernel’s copies between user and kernel memory (`--profile`), four per datagram, which no user-space tunnel avoids. Neither side copies a datagram itself. phantun is faster on this kernel than when the target was set.',
  },
  {
    ...compare(
      'Tunnel, 50,000/s: CPU time per GB',
      ['tunnel/50k', 'plain', ours],
      phantun,
      'cpuSecondsPerGB',
      '≤',
      1 / 3,
    ),
    answer:
      'At this rate the cost is waking: the profile has `waking, switching threads` and the event loop’s entry and exit above all else. By default nothing waits for company. `--coalesce-us 1000`, the row below it, reads at ticks (docs/decisions/coalescing-reads-at-ticks.md); what is left then is the receiving of single datagrams, one kernel buffer each.',
  },
  {
    ...{ what: "Tunnel, GSO sender at 500,000/s: CPU time per GB, against phantun's best in any scenario" },
    ...{ scenario: 'tunnel/500k-gso', shape: 'plain', peer: ours, need: '≤', bound: 1 / 8, unit: '×', versus: phantun },
    find: (median, rows) => divide(median('tunnel/500k-gso', 'plain', ours)?.cpuSecondsPerGB, phantunAtItsBest(rows)),
    answer:
      'The same copies: what each side takes, in the column `send + receive`, is little more than what four copies cost. It is compared with phantun’s best, which is at full load.',
  },
  rate('Tunnel over a wire, plain sender: delivered at saturation', 'tunnel/plain', 'wire', ours, phantun, 3),
  {
    ...rate('Tunnel, our client to a stock server', 'tunnel/plain', 'plain', names.oursToStock, phantun, 1.5),
    answer:
      'The stock server is the limit: one read per packet, handed to one task after another. Our client takes in more than phantun’s does, and the stock server’s TUN queue drops most of it (`ip -s link`). Offered no more than it can take, the pair is well beyond the target: see `tunnel/search`.',
  },
  {
    ...rate('Tunnel, a stock client to our server', 'tunnel/plain', 'plain', names.stockToOurs, phantun, 1.5),
    answer:
      'The stock client is the limit: most of what it is offered overflows its UDP socket, and it sends no faster to our server than to its own. What it sends arrives merged where a card merges (test/interop/merge), which a plain veth does not.',
  },
  { ...compare('Tunnel, round trip at 1,000/s: median', atLatency, phantun, 'latencyP50', '≤', 1), answer: latency },
  {
    ...compare('Tunnel, round trip at 1,000/s: 99th percentile', atLatency, phantun, 'latencyP99', '≤', 1),
    answer: latency,
  },
  {
    ...rate('Library, batches to a socket', 'library/1400', 'plain', batches, crate, 5),
    answer:
      'Sender, worker and consumer share the cores. What the sender drops at the full queue of the receiver’s TUN costs it as much as what arrives. The worker’s and the consumer’s copies are gone (docs/decisions/read-into-the-lane.md), so most of the time is the kernel’s own copies (`--profile`). Tried: fewer ACKs and fewer wakes, both kept (docs/decisions/acks-are-spaced.md, one-wake-per-mib.md), and a shorter TUN queue, which would lose datagrams at lower rates.',
  },
  {
    ...rate('Library, service in the worker', 'library/1400', 'plain', service, crate, 12),
    answer:
      'The kernel’s own limit, a C program that does nothing but write and read super-packets, is the row `kernel, super-packets`. Runs fall into two groups, which the spread shows, on an idle machine too. The reason is not known yet.',
  },
  {
    ...rate('Library over a wire, batches to a socket', 'library/1400', 'wire', batches, crate, 2.5),
    answer:
      'The kernel’s own limit here is only a little above the target (row `kernel, super-packets` over `wire`): the sender’s packets are cut up and merged again in software.',
  },
  {
    ...rate('Library, one by one', 'library/1400', 'plain', one, crate, 1.5),
    answer:
      '`recv` makes a copy that is the program’s to keep, and a promise per datagram; batches and `recvInto` do without.',
  },
  {
    ...rate('Library without offload, batches to a socket', 'library/1400', 'plain', plainBatches, crate, 1.2),
    answer:
      'The kernel’s own limit, one packet per system call in C, is the row `kernel, one packet per call`, and the sender shares the cores with worker and consumer. Most of the sender’s time is the kernel’s (`--profile`). Tried: sums taken while a packet is read, many moves per call, steering by ports instead of the kernel’s flow hash (docs/decisions/queues-are-steered-by-ports.md).',
  },
  rate('Library, 64-byte datagrams, batches to a socket', 'library/64', 'plain', batches, crate, 30),
  {
    ...share("Library, service: share of the kernel's own limit", service, names.kernelSuper, 60),
    answer:
      'At this rate the sender is the limit (see its row’s loss): it checks every call, reserves sequence numbers atomically and writes headers, where the C program repeats one packet.',
  },
  {
    ...share("Library, service without offload: share of the kernel's own limit", plainService, names.kernelPlain, 85),
    answer: 'The receiver’s JavaScript checks what the C program does not look at.',
  },
  {
    ...{ what: 'Library, service: CPU time per datagram with 10,000 flows, against one flow' },
    ...{ scenario: 'library/flows-10000', shape: 'plain', peer: service, need: '≤', bound: 1.3, unit: '×' },
    find: median =>
      divide(
        median('library/flows-10000', 'plain', service)?.cpuMicrosPerDatagram,
        median('library/1400', 'plain', service)?.cpuMicrosPerDatagram,
      ),
  },
  ...(['reordered', 'corrupted'] as const).map(
    (figure): Target => ({
      what: `Datagrams ${figure} in any run of ours`,
      ...{ need: '≤', bound: 0, unit: '' },
      find: (_, rows) => worst(rows, figure),
    }),
  ),
]

const judge = ({ need, bound }: Target, value: number | undefined): Verdict['state'] => {
  if (value === undefined) return 'not measured'
  if (need === '≥') return value >= bound ? 'ok' : 'below'
  return value <= bound ? 'ok' : 'above'
}

/** One verdict per target, in the order of the list above. */
export const verdictsOn = (rows: readonly Summary[]): Verdict[] => {
  const median: Median = (scenario, shape, peer) =>
    rows.find(row => row.scenario === scenario && row.shape === shape && row.peer === peer)?.median
  return targets.map(target => {
    const { find, answer = UNEXPLAINED, ...rest } = target
    const value = find(median, rows)
    const state = judge(target, value)
    const missed = state === 'below' || state === 'above'
    return { ...rest, ...(value !== undefined && { value }), state, ...(missed && { answer }) }
  })
}
