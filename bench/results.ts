import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { type Row, type Summary, summarize } from './summary.js'
import { type Verdict, verdictsOn } from './targets.js'

/** How the runs were measured. */
export interface Conditions {
  /** The command line, as it was typed. */
  command: string
  rounds: number
  seconds: number
  /** How long all runs took, in seconds. */
  took: number
}

/** All results, each run included. bench/results/latest.json holds them, and all reports are made of them. */
export interface Results extends Conditions {
  date: string
  machine: { cpu: string; cores: number; memoryGB: number; kernel: string; node: string; load: number[] }
  verdicts: Verdict[]
  rows: Summary[]
}

export const collect = (rows: readonly Row[], conditions: Conditions): Results => {
  const summaries = summarize(rows)
  return {
    date: new Date().toISOString(),
    ...conditions,
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryGB: Math.round(totalmem() / 1e9),
      kernel: release(),
      node: process.version,
      load: loadavg(),
    },
    verdicts: verdictsOn(summaries),
    rows: summaries,
  }
}

/** `earlier`, in which all peers of the scenarios and shapes that were measured again come from `later`. */
export const again = (earlier: Results, later: Results): Results => {
  const measured = new Set(later.rows.map(({ scenario, shape }) => `${scenario} ${shape}`))
  const rows = [...earlier.rows.filter(({ scenario, shape }) => !measured.has(`${scenario} ${shape}`)), ...later.rows]
  const command = `${earlier.command}; ${later.command}`
  return { ...earlier, command, took: earlier.took + later.took, rows, verdicts: verdictsOn(rows) }
}

export const write = (path: string, text: string): void => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** What `write` left as JSON at `path`, or undefined. */
export const stored = <T>(path: string): T | undefined =>
  existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as T) : undefined

/** What `collect` once made. Verdicts are made anew, since targets may have changed. */
export const read = (path: string): Results => {
  const results = JSON.parse(readFileSync(path, 'utf8')) as Results
  const rows = summarize(results.rows)
  return { ...results, rows, verdicts: verdictsOn(rows) }
}
