import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { dirname } from 'node:path'
import type { Shape } from '../src/lab/network.js'
import type { Metrics, Role } from './scenario.js'

/** `busyBefore`: share of all CPUs that others used just before the run, in percent. */
export type Run = Metrics & { busyBefore: number }

/** One peer in one scenario over one shape of network. */
export interface Row {
  scenario: string
  title: string
  shape: Shape
  peer: string
  role: Role
  /** One per round that worked. */
  runs: Run[]
  failures: string[]
  absent?: string
}

export interface Summary extends Row {
  median?: Run
  low?: Run
  high?: Run
  /** Median rate over the reference's median rate. */
  ratio?: number
  /** CPU time per GB, as a fraction of the reference's. */
  cpuRatio?: number
}

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((x, y) => x - y)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

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
    )?.median
    if (row.median === undefined || base === undefined) continue
    row.ratio = row.median.datagramsPerSecond / base.datagramsPerSecond
    row.cpuRatio = row.median.cpuSecondsPerGB / base.cpuSecondsPerGB
  }
  return summaries
}

const count = (value: number): string => Math.round(value).toLocaleString('en-US')

const cells = (row: Summary): string[] => {
  const { median: m, low, high } = row
  if (m === undefined || low === undefined || high === undefined) {
    return [row.peer, row.absent ?? `failed: ${row.failures[0]?.split('\n')[0] ?? 'no run'}`]
  }
  return [
    row.peer,
    count(m.datagramsPerSecond),
    `${count(low.datagramsPerSecond / 1000)}–${count(high.datagramsPerSecond / 1000)} k`,
    m.gbitPerSecond.toFixed(2),
    m.lossPercent.toFixed(1),
    count(m.reordered),
    m.cpuSecondsPerGB.toFixed(2),
    m.memoryMB > 0 ? count(m.memoryMB) : '',
    row.ratio === undefined ? '' : `${row.ratio.toFixed(2)}×`,
  ]
}

const HEAD = ['peer', 'datagrams/s', 'spread', 'Gb/s', 'loss %', 'reordered', 'CPU s/GB', 'MB', 'ratio']

/** Text for a terminal: one block per scenario and shape. */
export const table = (summaries: readonly Summary[]): string => {
  const blocks: string[] = []
  for (const group of new Set(summaries.map(row => `${row.scenario} ${row.shape}`))) {
    const rows = summaries.filter(row => `${row.scenario} ${row.shape}` === group)
    const lines = [HEAD, ...rows.map(cells)]
    const widths = HEAD.map((_, column) =>
      // The sentence of an absent peer stands in the second column and may run over the others.
      Math.max(...lines.filter(line => line.length === HEAD.length).map(line => line[column].length), 4),
    )
    widths[0] = Math.max(...lines.map(line => line[0].length))
    const text = lines.map(line =>
      line.map((cell, i) => (i === 0 || line.length < HEAD.length ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))),
    )
    const title = `${rows[0].scenario}, ${rows[0].shape} – ${rows[0].title}`
    blocks.push([title, ...text.map(line => `  ${line.join('  ').trimEnd()}`)].join('\n'))
  }
  return blocks.join('\n\n')
}

export interface Conditions {
  rounds: number
  seconds: number
}

/** Writes everything, each run included, with what the machine was. */
export const writeResults = (path: string, summaries: readonly Summary[], conditions: Conditions): void => {
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.version,
    load: loadavg(),
  }
  mkdirSync(dirname(path), { recursive: true })
  const results = { date: new Date().toISOString(), machine, ...conditions, rows: summaries }
  writeFileSync(path, `${JSON.stringify(results, null, 2)}\n`)
}
