/** The harness itself. bench/run.mjs starts it in a private network namespace, and describes its options. */
import { killAll, stopAll } from '../src/lab/child.js'
import { type Network, unavailable } from '../src/lab/network.js'
import { CurrentNetwork } from './current-network.js'
import { type Options, parseOptions } from './options.js'
import { Clock, plan, type Step, timeText } from './plan.js'
import { profile } from './profile.js'
import { root } from './programs.js'
import { quiet, watchOthers } from './quiet.js'
import { COST, type Cost } from './report/cost.js'
import { docs } from './report/docs.js'
import { html } from './report/html.js'
import { PROFILE, type Profile, profileTable } from './report/profile.js'
import { again, collect, type Results, read, stored, write } from './results.js'
import { libraryScenarios } from './scenarios/library.js'
import { tunnelScenarios } from './scenarios/tunnel.js'
import type { Row, Run } from './summary.js'
import { table } from './table.js'

/** With `--quiet`, the maximum that others may use of all CPUs before and during a run, in percent. */
const QUIET_PERCENT = 10
const PROFILE_SECONDS = 2
const LATEST = 'bench/results/latest.json'
const REPORT = 'bench/results/report.html'
const DOCS = 'docs/benchmarks.md'

const say = (text: string): void => console.error(text)
/** The first lines of an error, which may end with the whole stack trace of another program. */
const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error))
    .split('\n')
    .filter(line => line.trim() !== '')
    .slice(0, 3)
    .join(' ')

/**
 * Makes one run, and further ones until `patience` is over if others used the machine meanwhile. The least disturbed
 * run counts.
 */
const undisturbed = async (network: Network, step: Step, { patience, seconds }: Options): Promise<Run> => {
  const end = performance.now() + patience * 1000
  let best: Run | undefined
  do {
    await quiet(QUIET_PERCENT, (end - performance.now()) / 1000)
    const others = watchOthers()
    const metrics = await step.peer.run(network, seconds)
    const run = { ...metrics, othersPercent: others() }
    if (best === undefined || run.othersPercent < best.othersPercent) best = run
  } while (best.othersPercent > QUIET_PERCENT && performance.now() < end)
  return best
}

const measureOnce = async (network: Network, step: Step, row: Row, options: Options): Promise<string> => {
  try {
    const run = await undisturbed(network, step, options)
    row.runs.push(run)
    const figures = [
      `${Math.round(run.datagramsPerSecond).toLocaleString('en-US')}/s`,
      `${run.lossPercent.toFixed(1)} % lost`,
      ...(run.cpuSecondsPerGB > 0 ? [`${run.cpuSecondsPerGB.toFixed(2)} CPU s/GB`] : []),
      ...(run.latencyP50 > 0 ? [`p50 ${Math.round(run.latencyP50)} µs, p99 ${Math.round(run.latencyP99)} µs`] : []),
    ]
    return `${figures.join(', ')} (others: ${run.othersPercent.toFixed(0)} % of the CPUs)`
  } catch (error) {
    const reason = reasonOf(error)
    row.failures.push(reason)
    return `failed: ${reason}`
  }
}

/** Makes all runs. */
const measureAll = async (steps: readonly Step[], options: Options): Promise<Row[]> => {
  const { budget, seconds } = options
  const rows = new Map<string, Row>()
  const clock = new Clock(steps, seconds)
  const networks = new CurrentNetwork()
  try {
    for (const [index, step] of steps.entries()) {
      const { scenario, shape, peer } = step
      const key = `${scenario.name} ${shape} ${peer.name}`
      const { name, title, figure, size, flows } = scenario
      const row: Row = rows.get(key) ?? {
        ...{ scenario: name, title, figure, size, flows, shape },
        ...{ peer: peer.name, role: peer.role, runs: [], failures: [] },
      }
      rows.set(key, row)
      const where = `[${index + 1}/${steps.length}, ${timeText(clock.remaining(index))} left] ${key}: `
      const absent =
        peer.absent ??
        unavailable(shape) ??
        (clock.elapsed + clock.estimate(step) > budget ? `left out: no time left (--budget ${budget})` : undefined)
      if (absent !== undefined) {
        if (row.runs.length === 0) row.absent = absent
        if (step.round === 0) say(where + absent)
        continue
      }
      const network = await networks.of(shape)
      process.stderr.write(where)
      const began = performance.now()
      say(await measureOnce(network, step, row, options))
      clock.took(step, (performance.now() - began) / 1000)
    }
  } finally {
    await networks.close()
  }
  return [...rows.values()]
}

const measure = async (options: Options): Promise<Results> => {
  const steps = plan([...tunnelScenarios, ...libraryScenarios], options)
  if (steps.length === 0) throw new Error('--only, --peers and --shapes leave nothing to run')
  const began = performance.now()
  const rows = await measureAll(steps, options)
  const took = Math.round((performance.now() - began) / 1000)
  const command = ['npm run bench --', ...process.argv.slice(2)].join(' ')
  const measured = collect(rows, { command, rounds: options.rounds, seconds: options.seconds, took })
  const results = options.again === undefined ? measured : again(read(options.again), measured)
  write(root + LATEST, `${JSON.stringify(results, null, 2)}\n`)
  say(`\nEvery run is in ${LATEST}`)
  return results
}

/** The runs to profile: our programs, in these scenarios unless others are named. */
const profiled = (options: Options): Step[] => {
  const only = options.only ?? ['tunnel/plain', 'tunnel/50k', 'tunnel/gso', 'library/1400']
  const steps = plan([...tunnelScenarios, ...libraryScenarios], { ...options, rounds: 1, only, quick: false })
  return steps.filter(({ peer, shape }) => peer.role === 'ours' && (shape === 'plain' || options.only !== undefined))
}

const report = async (results: Results, writeDocs: boolean): Promise<void> => {
  console.log(table(results))
  write(root + REPORT, await html(results))
  say(`Tables and charts are in ${REPORT}`)
  if (!writeDocs) return
  write(root + DOCS, docs(results, stored<Cost>(root + COST), stored<Profile[]>(root + PROFILE)))
  say(`${DOCS} is written`)
}

process.on('exit', killAll)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, async () => {
    say(`${signal}: ending what runs`)
    await stopAll(500)
    process.exit(130)
  })
}

try {
  const options = parseOptions(process.argv.slice(2))
  if (options.list) {
    for (const { name, title, shapes } of [...tunnelScenarios, ...libraryScenarios]) {
      console.log(`${name.padEnd(24)} ${shapes.join(',').padEnd(11)} ${title}`)
    }
  } else if (options.profile) {
    console.log(profileTable(await profile(profiled(options), PROFILE_SECONDS, say)))
  } else {
    const results = options.from === undefined ? await measure(options) : read(options.from)
    await report(results, options.writeDocs)
    // A peer that breaks under load is a result. One of ours that breaks is a failure.
    if (results.rows.some(row => row.role === 'ours' && row.failures.length > 0)) process.exitCode = 1
  }
} catch (error) {
  say(`bench: ${error instanceof Error ? error.message : error}`)
  process.exitCode = 2
} finally {
  await stopAll()
}
