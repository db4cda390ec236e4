/**
 * Measures what datagrams cost in JavaScript heap, and what connections cost in memory and idle processor time. It
 * prints tables, and writes every figure to bench/results/cost.json, from which docs/benchmarks.md takes them.
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { FlowTable } from '../../src/memory/flow-table.js'
import { TupleIndex } from '../../src/memory/tuple-index.js'
import { root } from '../programs.js'
import { COST, type Cost, costTables } from '../report/cost.js'
import { write } from '../results.js'

const DATAGRAMS = 10_000_000
/** `recv` allocates by contract: each datagram is a copy that belongs to the program. */
const FEWER = 1_000_000
const CONNECTIONS = 20_000
const IDLE_SECONDS = 5
/** The young generation in MB. It is so large that V8 collects nothing, so growth equals allocation. */
const SEMI_SPACE = 1024

const run = (file: string, args: (string | number)[], flags: string[] = []): unknown => {
  const path = fileURLToPath(new URL(`${file}.js`, import.meta.url))
  const output = execFileSync(process.execPath, [...flags, path, ...args.map(String)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return JSON.parse(output)
}

const flags = [`--max-semi-space-size=${SEMI_SPACE}`, `--min-semi-space-size=${SEMI_SPACE}`]
const paths = [
  'sendBatch → service',
  'sendBatch → batches',
  'send → batches',
  'send → recvInto',
  'send → recv',
  'UDP → tunnel → UDP',
]
const heap: unknown[] = []
for (const path of paths) {
  console.error(`cost: ${path}`)
  heap.push(run('heap', [path, path.endsWith('recv') ? FEWER : DATAGRAMS], flags))
}
console.error(`cost: ${CONNECTIONS.toLocaleString('en-US')} connections`)
const idle = run('idle', [CONNECTIONS, IDLE_SECONDS])
const table = FlowTable.allocate(CONNECTIONS)
const sharedBytes = (table.shared.byteLength + TupleIndex.allocate(table, 1).shared.byteLength) / CONNECTIONS
const cost = { heap, idle, sharedBytes } as Cost
write(`${root}${COST}`, `${JSON.stringify(cost, undefined, 2)}\n`)
console.log(costTables(cost))
