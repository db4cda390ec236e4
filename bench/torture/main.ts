/**
 * `npm run torture -- [--short] [--only NAME,…] [--write-docs]`: everything that arrives, fails or stops, done to our programs and to
 * phantun. Runs inside a private network namespace (bench/run.mjs starts it there). Exit code 1 when one of ours failed.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { absence, root } from '../programs.js'
import { stored, write } from '../results.js'
import { conntrack } from './conntrack.js'
import { ends } from './ends.js'
import { floods } from './floods.js'
import { hostile } from './hostile.js'
import { library } from './library.js'
import { type Result, reliability } from './report.js'
import type { Kind, Scenario, Verdict } from './scenario.js'

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    only: { type: 'string' },
    'write-docs': { type: 'boolean', default: false },
  },
})
const scenarios: readonly Scenario[] = [...hostile, ...floods, ...ends, ...conntrack, ...library]
const wanted = values.only?.split(',')
const chosen = scenarios.filter(({ name, long }) => wanted?.includes(name) ?? !(values.short && long))
if (chosen.length === 0) {
  console.error(`torture: no such scenario; there are ${scenarios.map(({ name }) => name).join(', ')}.`)
  process.exit(2)
}

/** No scenario takes longer, in ms: one that does has failed. */
const patienceMs = values.short ? 100_000 : 500_000

const attempt = async (scenario: Scenario, kind: Kind): Promise<Verdict> => {
  const network = await createNetwork('plain', scenario.network)
  const endless = { figure: `no end after ${patienceMs / 1000} s`, passed: false }
  try {
    const run = scenario.run({ network, kind, short: values.short })
    return await Promise.race([run, sleep(patienceMs, endless, { ref: false })])
  } catch (error) {
    return { figure: `failed: ${(error as Error).message.split('\n')[0]}`, passed: false }
  } finally {
    await network.close()
  }
}

const noPhantun = absence('phantunClient', 'phantunServer')
const results: Result[] = []
try {
  for (const scenario of chosen) {
    const { name, what, bar, phantun } = scenario
    const reason = scenario.absent?.()
    if (reason !== undefined) {
      console.error(`torture: ${name} is skipped: ${reason}`)
      continue
    }
    const ours = await attempt(scenario, 'ours')
    console.log(`${ours.passed ? 'ok    ' : 'FAILED'} ${name}: ${ours.figure}  (${bar})`)
    const theirs = phantun && noPhantun === undefined && !values.short ? await attempt(scenario, 'phantun') : undefined
    if (theirs !== undefined) console.log(`       phantun: ${theirs.figure}`)
    results.push({ name, what, bar, ours, ...(theirs && { phantun: theirs }) })
  }
} finally {
  await stopAll()
}
// A run of some scenarios leaves the others' results as they were; the short form is nothing to keep.
const path = `${root}bench/results/torture.json`
const earlier = stored<Result[]>(path) ?? []
const all = scenarios.flatMap(({ name }) => [...results, ...earlier].find(result => result.name === name) ?? [])
if (!values.short) write(path, `${JSON.stringify(all, undefined, 2)}\n`)
if (values['write-docs']) write(`${root}docs/reliability.md`, reliability(all))
const failed = results.filter(({ ours }) => !ours.passed).length
console.log(`${results.length - failed} of ${results.length} scenarios passed`)
process.exit(failed === 0 ? 0 : 1)
