import type { Shape } from '../src/lab/network.js'
import type { Figure, Metrics, Role } from './scenario.js'

/** `othersPercent` is the share of all CPUs that programs outside of the benchmark used during the run. */
export type Run = Metrics & { othersPercent: number }

/** One peer in one scenario over one shape of network. */
export interface Row {
  scenario: string
  title: string
  figure: Figure
  size: number
  flows: number
  shape: Shape
  peer: string
  role: Role
  /** One per round that worked. */
  runs: Run[]
  failures: string[]
  /** Why there is no run: not built, or no time left. */
  absent?: string
}

export interface Summary extends Row {
  median?: Run
  low?: Run
  high?: Run
  /** Median of the scenario's figure over that of the reference. */
  ratio?: number
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((x, y) => x - y)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Combines figure by figure, so the parts of a combined run need not come from the same one. */
const combine = (runs: readonly Run[], by: (values: readonly number[]) => number): Run => {
  const keys = Object.keys(runs[0]) as (keyof Run)[]
  return Object.fromEntries(keys.map(key => [key, by(runs.map(run => run[key]))])) as unknown as Run
}

export const summarize = (rows: readonly Row[]): Summary[] => {
  const summaries = rows.map((row): Summary => {
    if (row.runs.length === 0) return { ...row }
    return {
      ...row,
      median: combine(row.runs, median),
      low: combine(row.runs, values => Math.min(...values)),
      high: combine(row.runs, values => Math.max(...values)),
    }
  })
  for (const row of summaries) {
    const base = summaries.find(
      other => other.scenario === row.scenario && other.shape === row.shape && other.role === 'reference',
    )?.median?.[row.figure]
    if (row.median !== undefined && base !== undefined && base > 0) row.ratio = row.median[row.figure] / base
  }
  return summaries
}

/** Rows of one scenario over one shape, in the order in which they were measured. */
export const groups = (summaries: readonly Summary[]): Summary[][] => {
  const byName = new Map<string, Summary[]>()
  for (const row of summaries) {
    const key = `${row.scenario} ${row.shape}`
    byName.set(key, [...(byName.get(key) ?? []), row])
  }
  return [...byName.values()]
}
