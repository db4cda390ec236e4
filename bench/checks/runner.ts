/**
 * Runs scenarios that pass or fail, one after the other, on our programs and on phantun. The options of such a command:
 *
 * | option | |
 * |---|---|
 * | `--short` | the form that `npm test` runs: our programs alone, less of everything, without scenarios that cannot be short |
 * | `--rest` | what `--short` leaves out, our programs alone |
 * | `--only NAME,…` | these scenarios |
 * | `--list` | prints the names of all scenarios and ends |
 * | `--write-docs` | writes the document |
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { absence, root } from '../programs.js'
import { stored, write } from '../results.js'
import type { Result } from './report.js'
import type { Kind, Scenario, Verdict } from './scenario.js'

export interface Course {
  /** The command is `npm run NAME`. Results are kept in bench/results/NAME.json. */
  readonly name: string
  readonly scenarios: readonly Scenario[]
  /** The document that `--write-docs` writes, from the repository's root: docs/x.md. */
  readonly document: string
  readonly text: (results: readonly Result[]) => string
}

/** The longest time that a scenario may take, in milliseconds. One that takes longer has failed. */
const patience = { short: 100_000, whole: 500_000 } as const

const attempt = async (scenario: Scenario, kind: Kind, short: boolean): Promise<Verdict> => {
  const limitMs = short ? patience.short : patience.whole
  const network = await createNetwork('plain', scenario.network)
  const endless = { figure: `no end after ${limitMs / 1000} s`, passed: false }
  try {
    const run = scenario.run({ network, kind, short })
    return await Promise.race([run, sleep(limitMs, endless, { ref: false })])
  } catch (error) {
    return { figure: `failed: ${(error as Error).message.split('\n')[0]}`, passed: false }
  } finally {
    await network.close()
  }
}

/** Runs what the command line asks for and ends the process. The exit code is 1 when one of our programs failed. */
export const runCourse = async ({ name, scenarios, document, text }: Course): Promise<never> => {
  const { values } = parseArgs({
    options: {
      short: { type: 'boolean', default: false },
      rest: { type: 'boolean', default: false },
      only: { type: 'string' },
      list: { type: 'boolean', default: false },
      'write-docs': { type: 'boolean', default: false },
    },
  })
  if (values.list) {
    for (const { name, what } of scenarios) console.log(`${name.padEnd(24)} ${what}`)
    process.exit()
  }
  const wanted = values.only?.split(',')
  const unknown = wanted?.find(word => !scenarios.some(({ name }) => name === word))
  if (unknown !== undefined) {
    console.error(`${name}: there is no scenario ${unknown}; --list shows them all.`)
    process.exit(2)
  }
  const alone = values.short || values.rest
  const isChosen = ({ name, long = false }: Scenario): boolean =>
    wanted?.includes(name) ?? !((values.short && long) || (values.rest && !long))
  const chosen = scenarios.filter(isChosen)
  const noPhantun = absence('phantunClient', 'phantunServer')
  const results: Result[] = []
  try {
    for (const scenario of chosen) {
      const reason = scenario.absent?.()
      if (reason !== undefined) {
        console.error(`${name}: ${scenario.name} is skipped: ${reason}`)
        continue
      }
      const began = performance.now()
      const ours = await attempt(scenario, 'ours', values.short)
      const took = `${((performance.now() - began) / 1000).toFixed(1)} s`
      console.log(`${ours.passed ? 'ok    ' : 'FAILED'} ${scenario.name}: ${ours.figure}  (${scenario.bar}; ${took})`)
      const both = scenario.phantun && noPhantun === undefined && !alone
      const phantun = both ? await attempt(scenario, 'phantun', false) : undefined
      if (phantun !== undefined) console.log(`       phantun: ${phantun.figure}`)
      results.push({ name: scenario.name, what: scenario.what, bar: scenario.bar, ours, ...(phantun && { phantun }) })
    }
  } finally {
    await stopAll()
  }
  // A run of some scenarios leaves the results of the others as they were. The results of a run without phantun are not
  // kept.
  const path = `${root}bench/results/${name}.json`
  const earlier = stored<Result[]>(path) ?? []
  const all = scenarios.flatMap(({ name }) => [...results, ...earlier].find(result => result.name === name) ?? [])
  if (!alone) write(path, `${JSON.stringify(all, undefined, 2)}\n`)
  if (values['write-docs']) write(`${root}${document}`, text(all))
  const failed = results.filter(({ ours }) => !ours.passed).length
  console.log(`${results.length - failed} of ${results.length} scenarios passed`)
  process.exit(failed === 0 ? 0 : 1)
}
