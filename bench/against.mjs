/**
 * `npm run bench:against -- DIR [--rounds N] [bench options]` compares this work tree with another one, such as the
 * commit before built in a second work tree. It runs the benchmark of both in turn, round by round, and prints the
 * median ratio of each figure. A ratio above 1 is in favour of this tree, whatever the figure is.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('..', import.meta.url))
const [other, ...rest] = process.argv.slice(2)
if (other === undefined || !existsSync(join(other, 'dist/bench/main.js'))) {
  console.error(
    'bench:against: name a work tree that is built (npm ci && npm run build), then options as for npm run bench.',
  )
  process.exit(2)
}
const trees = { here, there: resolve(other) }

/** Takes `--rounds N` out of the options: each round is a run of its own. */
const roundsAt = rest.indexOf('--rounds')
const rounds = roundsAt < 0 ? 3 : Number(rest.splice(roundsAt, 2)[1])
/** Only peers that both trees run are of interest. */
const options = ['--no-build', '--rounds', '1', '--peers', 'fake-tcp', ...rest]

const measure = tree => {
  const path = join(tree, 'bench/results/latest.json')
  rmSync(path, { force: true })
  const { status } = spawnSync(process.execPath, [join(tree, 'bench/run.mjs'), ...options], {
    cwd: tree,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (!existsSync(path)) throw new Error(`the benchmark of ${tree} ended with ${status} and left no results`)
  return JSON.parse(readFileSync(path, 'utf8')).rows
}

/** For processor time and latency, less is better. */
const better = (figure, ours, theirs) => (figure === 'datagramsPerSecond' ? ours / theirs : theirs / ours)

const median = values => {
  const sorted = [...values].sort((x, y) => x - y)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The figures of each round here and there, by scenario, shape and peer. */
const found = new Map()
for (let round = 0; round < rounds; round++) {
  // The tree that begins changes with each round, so that whatever else the machine does hits both alike.
  for (const tree of round % 2 === 0 ? ['here', 'there'] : ['there', 'here']) {
    console.error(`bench:against: round ${round + 1} of ${rounds}, ${tree}`)
    for (const { scenario, shape, peer, figure, runs } of measure(trees[tree])) {
      if (runs.length === 0) continue
      const key = `${scenario} ${shape}, ${peer}`
      if (!found.has(key)) found.set(key, { figure, here: [], there: [] })
      found.get(key)[tree].push(runs[0][figure])
    }
  }
}
console.log('| what | figure | here | there | ratio |\n|---|---|---|---|---|')
for (const [key, { figure, here, there }] of found) {
  if (here.length === 0 || there.length === 0) continue
  const [ours, theirs] = [median(here), median(there)]
  const text = value => (value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toFixed(2))
  console.log(`| ${key} | ${figure} | ${text(ours)} | ${text(theirs)} | ${better(figure, ours, theirs).toFixed(3)} |`)
}
