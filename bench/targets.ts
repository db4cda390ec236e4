import type { Shape } from '../src/lab/network.js'
import { names } from './ends.js'
import type { Metrics } from './scenario.js'
import type { Summary } from './summary.js'

/** What was set out to be reached, and whether it was. */
export interface Verdict {
  what: string
  /** The row it stands beside; none: it concerns all of ours. */
  scenario?: string
  shape?: Shape
  peer?: string
  need: '≥' | '≤'
  bound: number
  unit: '×' | '%' | ''
  /** The reference that it is compared with, if it is. */
  versus?: string
  /** Undefined: what it needs was not measured. */
  value?: number
  state: 'ok' | 'below' | 'above' | 'not measured'
  /** Where it is not reached: what stands in the way, and what was tried. */
  answer?: string
}

type Median = (scenario: string, shape: Shape, peer: string) => Metrics | undefined
type Target = Omit<Verdict, 'value' | 'state'> & { find(median: Median, rows: readonly Summary[]): number | undefined }
/** Where a target is missed and nobody has looked into it. */
const UNEXPLAINED = 'Not explained yet: `npm run bench -- --profile` shows where the time goes.'

const divide = (value: number | undefined, base: number | undefined): number | undefined =>
  value === undefined || base === undefined || base === 0 ? undefined : value / base

type Key = keyof Metrics

/** `peer`'s figure over `base`'s in the same scenario. */
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

/** Share of what the kernel alone carries, in percent. */
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

/** The least CPU time per GB that phantun took in any scenario with one flow of full datagrams. */
const phantunAtItsBest = (rows: readonly Summary[]): number | undefined => {
  const costs = rows
    .filter(row => row.peer === names.phantun && row.shape === 'plain' && row.flows === 1 && row.size === 1400)
    .map(row => row.median?.cpuSecondsPerGB ?? 0)
    .filter(cost => cost > 0)
  return costs.length > 0 ? Math.min(...costs) : undefined
}

/** The worst run of any of ours. Not of mixed pairs: phantun hands one connection's datagrams to parallel tasks. */
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
  'Four threads are woken per round trip in both programs; ours make about five microseconds more of each, in Node.js’s event loop (two polls per turn, since its workers measure idle time) and in the addon’s epoll set. V8’s memory reducer was the 99th percentile (several milliseconds) until it was switched off. Both programs on one core: 72 against 53 µs.'

const targets: readonly Target[] = [
  {
    ...rate('Tunnel, plain sender: rate with at most 0.1 % loss', 'tunnel/search', 'plain', ours, phantun, 6),
    answer:
      'The sender is the limit: one system call per datagram, over the veth and without any tunnel, is the row `UDP without a tunnel`. Generator, client, server and sink share two cores; the client takes no more than what is there, and loses nothing of it.',
  },
  rate('Tunnel, plain sender: delivered at saturation', 'tunnel/plain', 'plain', ours, phantun, 4),
  {
    ...rate('Tunnel, GSO sender: delivered at saturation', 'tunnel/gso', 'plain', ours, phantun, 12),
    answer:
      'Two thirds of the client’s time and half of the server’s are the kernel’s copies between user and kernel memory, four per datagram, which no user-space tunnel avoids. Neither side copies a datagram itself. phantun is faster on this kernel than when the target was set.',
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
      'At this rate the cost is waking: the profile has `waking, switching threads` and the event loop’s entry and exit above all else, five system calls per wake, about nine datagrams per wake. By default nothing waits for company; `--coalesce-us 1000`, the row below it, reads at ticks and about halves the cost: then it is the receiving of single datagrams, one kernel buffer each.',
  },
  {
    ...{ what: "Tunnel, GSO sender at 500,000/s: CPU time per GB, against phantun's best in any scenario" },
    ...{ scenario: 'tunnel/500k-gso', shape: 'plain', peer: ours, need: '≤', bound: 1 / 8, unit: '×', versus: phantun },
    find: (median, rows) => divide(median('tunnel/500k-gso', 'plain', ours)?.cpuSecondsPerGB, phantunAtItsBest(rows)),
    answer:
      'The same copies: 0.4 CPU seconds per GB on each side are little more than what four copies cost. phantun’s best, at full load, is what it is compared with.',
  },
  rate('Tunnel over a wire, plain sender: delivered at saturation', 'tunnel/plain', 'wire', ours, phantun, 3),
  {
    ...rate('Tunnel, our client to a stock server', 'tunnel/plain', 'plain', names.oursToStock, phantun, 1.5),
    answer:
      'The stock server is the limit: one read per packet, handed to one task after another. Our client takes in 2.5 times what phantun’s does; two thirds of it are dropped at the stock server’s TUN queue (`ip -s link`), not by us. Offered no more than it can take, the pair is well beyond the target: see `tunnel/search`.',
  },
  {
    ...rate('Tunnel, a stock client to our server', 'tunnel/plain', 'plain', names.stockToOurs, phantun, 1.5),
    answer:
      'The stock client is the limit: 80 % of what it is offered overflow its UDP socket, and it sends no faster to our server than to its own; our server delivers nine tenths of what reaches it. What it sends arrives merged where a card merges (test/interop/merge), which a plain veth does not.',
  },
  { ...compare('Tunnel, round trip at 1,000/s: median', atLatency, phantun, 'latencyP50', '≤', 1), answer: latency },
  {
    ...compare('Tunnel, round trip at 1,000/s: 99th percentile', atLatency, phantun, 'latencyP99', '≤', 1),
    answer: latency,
  },
  {
    ...rate('Library, batches to a socket', 'library/1400', 'plain', batches, crate, 5),
    answer:
      'Sender, worker and consumer share two cores; what the sender drops at the full queue of the receiver’s TUN costs it as much as what arrives. The worker’s and the consumer’s copies are gone (docs/decisions/read-into-the-lane.md): 60 % of the sender’s and of the worker’s time are the kernel’s own copies. Tried: fewer ACKs (15 to 19 % more) and fewer wakes (12 %), both kept; a shorter TUN queue, whose memory stays in the cache (up to 25 % more, but at a lower rate a thread that is scheduled late would lose datagrams).',
  },
  {
    ...rate('Library, service in the worker', 'library/1400', 'plain', service, crate, 12),
    answer:
      'The kernel’s own limit, a C program that does nothing but write and read super-packets, is below twelve times the crate on this machine: see the row `kernel, super-packets`. Runs fall into two groups, about 3.7 and 2.2 million datagrams a second, on an idle machine too; why is not known yet.',
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
      'The kernel’s own limit, one packet per system call in C, is hardly above the target (row `kernel, one packet per call`), and the sender shares two cores with worker and consumer. Per datagram 70 % of the sender’s time and a third of the receiver’s are the kernel’s. Tried: sums taken while a packet is read, many moves per call, steering by ports instead of the kernel’s flow hash (which gave 7 %).',
  },
  rate('Library, 64-byte datagrams, batches to a socket', 'library/64', 'plain', batches, crate, 30),
  {
    ...share("Library, service: share of the kernel's own limit", service, names.kernelSuper, 60),
    answer:
      'At this rate the sender is the limit (see its row’s loss): it checks every call, reserves sequence numbers atomically and writes headers, where the C program repeats one packet.',
  },
  {
    ...share("Library, service without offload: share of the kernel's own limit", plainService, names.kernelPlain, 85),
    answer: 'A third of the receiver’s time is JavaScript that checks what the C program does not look at.',
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
