// Writes the tables of counters in docs/operations.md, between the two markers, from src/memory/counter-table.ts and src/tunnel/counters.ts.
// `node scripts/counters.mjs [FILE]` after `npm run build:ts`; `--check` only tells whether that would change the file. The tests run the check.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { stackCounters } from '../dist/src/memory/counter-table.js'
import { tunnelCounters } from '../dist/src/tunnel/counters.js'

const markers = ['<!-- counters: written by scripts/counters.mjs -->', '<!-- end of counters -->']
const words = process.argv.slice(2)
const check = words.includes('--check')
const file = words.find(word => word !== '--check') ?? fileURLToPath(new URL('../docs/operations.md', import.meta.url))

const table = rows =>
  [
    '| counter | counts | what |',
    '|---|---|---|',
    ...rows.map(({ name, unit, text }) => `| \`${name}\` | ${unit}s | ${text} |`),
  ].join('\n')
const ofKind = wanted => stackCounters.filter(({ kind }) => kind === wanted)
const tables = [
  ['What went through, and what was done (`traffic`):', ofKind('traffic')],
  ['What was lost on the stack (`drops`):', ofKind('drop')],
  ['What the tunnel’s services lost (`services.drops`):', tunnelCounters],
]

const text = readFileSync(file, 'utf8')
const [from, to] = [text.indexOf(markers[0]) + markers[0].length, text.indexOf(markers[1])]
if (from < markers[0].length || to < from) {
  console.error(`${file} has not the two lines ${markers.join(' and ')}`)
  process.exit(1)
}
const middle = tables.map(([title, rows]) => `${title}\n\n${table(rows)}`).join('\n\n')
const written = `${text.slice(0, from)}\n${middle}\n${text.slice(to)}`
if (written === text) process.exit(0)
if (check) {
  console.error('The counters in docs/operations.md are old: npm run build:ts && node scripts/counters.mjs')
  process.exit(1)
}
writeFileSync(file, written)
