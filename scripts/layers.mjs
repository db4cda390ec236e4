// The layers of src/, lowest first: a file may import from its own folder and from lower layers.
// `node scripts/layers.mjs [ROOT]` names every import that goes up, and every circle of files; imports of types count. npm run lint runs it.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const layers = [
  ['errors.ts', 'numbers.ts', 'native.ts', 'load-addon.ts', 'process-stat.ts'],
  ['wire'],
  ['memory'],
  ['flood'],
  ['log'],
  ['terminal'],
  ['net'],
  ['path'],
  ['udp'],
  ['workers', 'sockets'],
  ['engine'],
  ['index.ts'],
  ['tunnel'],
  ['lab'],
  ['demo'],
  ['cli'],
]

const src = join(process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url)), 'src')
const files = readdirSync(src, { recursive: true, withFileTypes: true })
  .filter(entry => entry.name.endsWith('.ts'))
  .map(entry => relative(src, join(entry.parentPath, entry.name)))
const room = file => file.split('/')[0]
const layerOf = file => layers.findIndex(rooms => rooms.includes(room(file)))
const specifiers = /(?:^|\s)(?:import|export)\s[^'"]*?from\s+'(\.[^']+)'|import\(\s*'(\.[^']+)'\s*\)/gu
const importsOf = file =>
  [...readFileSync(join(src, file), 'utf8').matchAll(specifiers)]
    .map(([, from, dynamic]) => relative(src, resolve(src, dirname(file), from ?? dynamic)).replace(/\.js$/u, '.ts'))
    .filter(target => existsSync(join(src, target)))

const faults = []
const imports = new Map(files.map(file => [file, importsOf(file)]))
for (const [file, targets] of imports) {
  if (layerOf(file) < 0) faults.push(`${file} is in no layer`)
  for (const target of targets) {
    const up = layerOf(target) > layerOf(file) || (layerOf(target) === layerOf(file) && room(target) !== room(file))
    if (up && room(file) !== file) faults.push(`${file} imports ${target}, which is above it`)
  }
}

const done = new Set()
const visit = (file, path) => {
  if (path.includes(file)) faults.push(`a circle: ${[...path.slice(path.indexOf(file)), file].join(' → ')}`)
  if (done.has(file) || path.includes(file)) return
  for (const target of imports.get(file) ?? []) visit(target, [...path, file])
  done.add(file)
}
for (const file of files) visit(file, [])

for (const fault of faults) console.error(fault)
process.exit(faults.length === 0 ? 0 : 1)
