// `npm test`: compiles, runs the tests, and ends with one line that counts them. Arguments name folders or files of test/
// (`npm test -- wire engine/socket`). Without any, everything runs but the files `*.long.test.ts`, which take long by nature; `--long` runs
// those.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runFiles } from './run-tests.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const require = createRequire(import.meta.url)
const node = (script, args) => spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit' })

if (!existsSync(join(root, 'build/Release')) && node('scripts/build-native.mjs', []).status !== 0) process.exit(1)

// What was compiled from a test that no longer exists must not run.
rmSync(join(root, 'dist/test'), { recursive: true, force: true })
if (node(require.resolve('typescript/bin/tsc'), ['-p', 'tsconfig.json']).status !== 0) process.exit(1)

const folder = join(root, 'dist/test')
const compiled = readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter(entry => entry.name.endsWith('.test.js'))
  .map(entry => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
  .sort()
const words = process.argv.slice(2)
const long = words.includes('--long')
const wanted = words.filter(word => word !== '--long').map(word => word.replace(/^test\//, ''))
const files = compiled.filter(file =>
  wanted.length > 0 ? wanted.some(word => file.startsWith(word)) : file.endsWith('.long.test.js') === long,
)
if (files.length === 0) {
  console.error(`No test matches ${wanted.join(' ')}.`)
  process.exit(1)
}

const { passed, failed, skipped } = await runFiles(root, files)
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exit(failed === 0 ? 0 : 1)
