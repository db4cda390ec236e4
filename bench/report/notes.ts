import { timeText } from '../plan.js'
import type { Results } from '../results.js'

/** The conditions of the runs, as term and text. */
export const conditions = (results: Results): [string, string][] => {
  const { machine, rounds, seconds, took } = results
  const busy = results.rows.flatMap(row => row.runs.map(run => run.othersPercent))
  const mean = busy.reduce((sum, percent) => sum + percent, 0) / Math.max(1, busy.length)
  const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`
  return [
    [
      'Machine',
      `${machine.cpu}, ${plural(machine.cores, 'core')}, ${machine.memoryGB} GB; both ends and the load on it`,
    ],
    ['Kernel', machine.kernel],
    ['Node.js', machine.node],
    ['Date', `${results.date.slice(0, 16).replace('T', ' ')} UTC`],
    ['Command', `\`${results.command}\``],
    ['Runs', `${plural(rounds, 'round')} of ${seconds} s per run, ${timeText(took)} in all`],
    [
      'Others',
      `used ${mean.toFixed(0)} % of the CPUs during a run, on average${mean > 10 ? ': these figures are noisy' : ''}`,
    ],
  ]
}

/** What a reader must know to trust a figure, or to distrust it. */
export const notes: readonly string[] = [
  'Two network namespaces on one machine, joined by a veth pair. `plain` leaves it as the kernel makes it: super-packets cross it whole, as between two containers. `wire` turns TSO and GSO off and GRO on, as with a network card and a cable. The load generators share the cores with what they measure.',
  'Peers take turns within every round, and another one begins each time. Figures are medians over the rounds, the spread is the lowest and the highest round; reordered datagrams are those of the worst round. A ratio compares medians of the same run of the benchmark.',
  'A rate counts datagrams that arrived, from the first to the last. Loss is what the sender handed to its kernel and the far side never saw: a sender at full speed offers more than anything carries. `≤ 0.1 % loss` comes from a bisection in six steps.',
  'Every datagram carries flow and sequence number, which the receiving side checks; behind a tunnel it also compares the whole content of every 64th.',
  'CPU time is user and system time of the two programs under test (tunnel: client and server; library: sender and receiver) per 10⁹ bytes of delivered payload. What interrupts do elsewhere is not in it. Memory is the sum of both peaks.',
  'Round trips are measured with an echo behind the far end, after three seconds of the same traffic, on schedule whether answers come or not.',
  "`kernel` rows are a C program that writes and reads TUN and does nothing else. `tcpraw` needs no TUN; it sends through raw sockets between the wire's own addresses.",
]

/** What the profile means. */
export const profileNotes: readonly string[] = [
  '`npm run bench -- --profile`: samples of `perf record` in our programs under full load (`tunnel/50k`: at that rate), sorted by what the processor did.',
]
