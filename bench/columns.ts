import type { Figure } from './scenario.js'
import type { Summary } from './summary.js'
import type { Verdict } from './targets.js'

type Measured = Summary & Required<Pick<Summary, 'median' | 'low' | 'high'>>

/** The columns of tables on the terminal, in the report and in the docs. */
export interface Column {
  head: string
  cell(row: Measured, verdicts: readonly Verdict[]): string
}

export const count = (value: number): string => Math.round(value).toLocaleString('en-US')

/** Rounds to about three significant digits. */
export const short = (value: number): string => {
  if (value >= 100) return count(value)
  if (value >= 10) return value.toFixed(1)
  return value.toFixed(2)
}

const spread = (low: number, high: number, write: (value: number) => string): string =>
  write(low) === write(high) ? '' : `${write(low)}–${write(high)}`

const thousands = (value: number): string => (value < 10_000 ? count(value) : `${count(value / 1000)} k`)

const loss = (percent: number): string => (percent === 0 ? '0' : percent < 0.095 ? '< 0.1' : percent.toFixed(1))

export const bound = ({ need, bound, unit }: Verdict): string =>
  `${need} ${bound < 1 && bound > 0 ? `1/${Math.round(1 / bound)}` : bound}${unit === '%' ? ' %' : unit}`

export const valueText = ({ value, unit }: Verdict): string =>
  value === undefined ? '' : unit === '' ? count(value) : `${short(value)}${unit === '%' ? ' %' : unit}`

/** The targets of one row: '≥ 6× ok'. */
const targetsOf = (row: Summary, verdicts: readonly Verdict[]): string =>
  verdicts
    .filter(({ scenario, shape, peer }) => scenario === row.scenario && shape === row.shape && peer === row.peer)
    .map(verdict => `${bound(verdict)} ${verdict.state}`)
    .join(', ')

const peer: Column = { head: 'peer', cell: row => row.peer }
const rate: Column[] = [
  { head: 'datagrams/s', cell: ({ median }) => count(median.datagramsPerSecond) },
  {
    head: 'spread',
    cell: ({ low, high }) => spread(low.datagramsPerSecond, high.datagramsPerSecond, thousands),
  },
  { head: 'Gb/s', cell: ({ median }) => median.gbitPerSecond.toFixed(2) },
]
const latency: Column[] = [
  { head: 'p50 µs', cell: ({ median }) => count(median.latencyP50) },
  { head: 'spread', cell: ({ low, high }) => spread(low.latencyP50, high.latencyP50, count) },
  { head: 'p99 µs', cell: ({ median }) => count(median.latencyP99) },
  { head: 'spread', cell: ({ low, high }) => spread(low.latencyP99, high.latencyP99, count) },
]
const common: Column[] = [
  { head: 'loss %', cell: ({ median }) => loss(median.lossPercent) },
  { head: 'reordered', cell: ({ high }) => count(high.reordered) },
  { head: 'CPU s/GB', cell: ({ median }) => (median.cpuSecondsPerGB > 0 ? median.cpuSecondsPerGB.toFixed(2) : '') },
  {
    head: 'send + receive',
    cell: ({ median: { senderCpuPerGB, receiverCpuPerGB } }) =>
      senderCpuPerGB > 0 ? `${senderCpuPerGB.toFixed(2)} + ${receiverCpuPerGB.toFixed(2)}` : '',
  },
  { head: 'MB', cell: ({ median }) => (median.memoryMB > 0 ? count(median.memoryMB) : '') },
]
const ratio = (head: string): Column[] => [
  { head, cell: row => (row.ratio === undefined ? '' : `${short(row.ratio)}×`) },
  { head: 'target', cell: targetsOf },
]

export const columns: Readonly<Record<Figure, readonly Column[]>> = {
  datagramsPerSecond: [peer, ...rate, ...common, ...ratio('ratio')],
  cpuSecondsPerGB: [peer, ...rate, ...common, ...ratio('CPU ratio')],
  latencyP50: [peer, ...latency, ...common, ...ratio('p50 ratio')],
}

/** The cells of one row. A row without runs has its name and one sentence in place of all other cells. */
export const cells = (row: Summary, verdicts: readonly Verdict[]): string[] | [string, string] => {
  const { median, low, high } = row
  if (median === undefined || low === undefined || high === undefined) {
    return [row.peer, row.absent ?? `failed: ${row.failures[0] ?? 'no run'}`]
  }
  return columns[row.figure].map(column => column.cell({ ...row, median, low, high }, verdicts))
}
