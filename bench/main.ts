/** The harness itself. bench/run.mjs starts it in a private network namespace; options are described there. */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { killAll, stopAll } from '../src/lab/child.js'
import { createNetwork, type Network, type Shape, shapes, unavailable } from '../src/lab/network.js'
import { MAX_SECONDS, number } from './load/options.js'
import { quiet } from './quiet.js'
import { type Row, summarize, table, writeResults } from './report.js'
import type { Peer, Scenario } from './scenario.js'
import { libraryScenarios } from './scenarios/library.js'
import { tunnelScenarios } from './scenarios/tunnel.js'

/** Of all CPUs, in percent: what others may use while we measure, when `--quiet` asks for it. */
const QUIET_PERCENT = 10
const RESULTS = fileURLToPath(new URL('../../bench/results/latest.json', import.meta.url))

const say = (text: string): void => console.error(text)

const list = (text: string | undefined): string[] | undefined => text?.split(',').map(item => item.trim())

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    only: { type: 'string' },
    peers: { type: 'string' },
    shapes: { type: 'string' },
    quiet: { type: 'string', default: '0' },
  },
})
const rounds = number(values.rounds ?? (values.quick ? '1' : '3'), '--rounds', 1, 100)
const seconds = number(values.seconds ?? (values.quick ? '2' : '4'), '--seconds', 0.1, MAX_SECONDS / 2)
const patience = number(values.quiet, '--quiet', 0, 600)
const only = list(values.only)
const onlyPeers = list(values.peers)
const onlyShapes = list(values.shapes) ?? shapes

const chosen = [...tunnelScenarios, ...libraryScenarios].filter(
  scenario => only?.some(name => scenario.name === name || scenario.name.startsWith(`${name}/`)) ?? true,
)
if (chosen.length === 0) throw new Error(`--only ${values.only} names no scenario`)

const one = async (network: Network, scenario: Scenario, peer: Peer, row: Row, label: string): Promise<void> => {
  if (peer.absent !== undefined) {
    row.absent = peer.absent
    return
  }
  const where = `${label} ${scenario.name} ${network.shape} ${peer.name}`
  try {
    const busyBefore = await quiet(QUIET_PERCENT, patience)
    const run = await peer.run(network, seconds)
    row.runs.push({ ...run, busyBefore })
    const rate = Math.round(run.datagramsPerSecond).toLocaleString('en-US')
    say(
      `${where}: ${rate}/s, ${run.lossPercent.toFixed(1)} % lost, ${run.cpuSecondsPerGB.toFixed(2)} CPU s/GB (${busyBefore.toFixed(0)} % busy before)`,
    )
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    row.failures.push(reason)
    say(`${where}: ${reason}`)
  }
}

/** Peers take turns within a round, and another one begins each time: what the machine does besides hits all alike. */
const runShape = async (shape: Shape, rows: Map<string, Row>): Promise<void> => {
  const reason = unavailable(shape)
  if (reason !== undefined) return say(reason)
  const network = await createNetwork(shape)
  try {
    for (let round = 0; round < rounds; round++) {
      for (const scenario of chosen) {
        const peers = scenario.peers.filter(peer => onlyPeers?.some(name => peer.name.startsWith(name)) ?? true)
        for (const peer of peers) {
          const key = `${scenario.name} ${shape} ${peer.name}`
          const { name, title } = scenario
          if (!rows.has(key)) {
            rows.set(key, { scenario: name, title, shape, peer: peer.name, role: peer.role, runs: [], failures: [] })
          }
        }
        for (let i = 0; i < peers.length; i++) {
          const peer = peers[(i + round) % peers.length]
          const row = rows.get(`${scenario.name} ${shape} ${peer.name}`)!
          await one(network, scenario, peer, row, `[${round + 1}/${rounds}]`)
        }
      }
    }
  } finally {
    await network.close()
  }
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
  const rows = new Map<string, Row>()
  for (const shape of shapes) if (onlyShapes.includes(shape)) await runShape(shape, rows)
  const summaries = summarize([...rows.values()])
  writeResults(RESULTS, summaries, { rounds, seconds })
  console.log(table(summaries))
  say('Every run is in bench/results/latest.json')
  if (summaries.some(row => row.failures.length > 0)) process.exitCode = 1
} finally {
  await stopAll()
}
