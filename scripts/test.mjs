// `npm test`: compiles, runs every test, and ends with one line that counts them. Arguments name folders or files of test/
// (`npm test -- wire engine/socket`); without any, everything runs.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const require = createRequire(import.meta.url)
const node = (script, args, options = {}) =>
  spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit', ...options })

if (!existsSync(join(root, 'build/Release')) && node('scripts/build-native.mjs', []).status !== 0) process.exit(1)

// What was compiled from a test that no longer exists must not run.
rmSync(join(root, 'dist/test'), { recursive: true, force: true })
if (node(require.resolve('typescript/bin/tsc'), ['-p', 'tsconfig.json']).status !== 0) process.exit(1)

const compiled = readdirSync(join(root, 'dist/test'), { recursive: true, withFileTypes: true })
  .filter(entry => entry.name.endsWith('.test.js'))
  .map(entry => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
  .sort()
const wanted = process.argv.slice(2)
const files = compiled.filter(
  file => wanted.length === 0 || wanted.some(word => file.startsWith(`dist/test/${word.replace(/^test\//, '')}`)),
)
if (files.length === 0) {
  console.error(`No test matches ${wanted.join(' ')}.`)
  process.exit(1)
}

const results = join(root, '.tap/last.tap')
mkdirSync(dirname(results), { recursive: true })
const tap = join(dirname(require.resolve('tap/package.json')), 'dist/esm/run.mjs')
// Every file is asked at its end what it has left behind.
const check = `--node-arg=--import=${pathToFileURL(join(root, 'dist/test/support/left-behind.js')).href}`
const run = node(tap, [`--output-file=${results}`, '--reporter=terse', check, ...files])

/** tap's last summary line, `# { total: 9, pass: 7, fail: 1, skip: 1 }`; parts that are zero are left out. */
const summary =
  readFileSync(results, 'utf8')
    .match(/^# \{ total: .*\}$/gm)
    ?.at(-1) ?? ''
const count = name => Number(summary.match(new RegExp(`\\b${name}: (\\d+)`))?.[1] ?? 0)
const failed = Math.max(count('fail'), run.status === 0 ? 0 : 1)
const skipped = count('skip') + count('todo')
// On a line of its own: tap leaves the cursor's escape sequence on the one before.
console.log(`\n${count('pass')} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exit(failed === 0 ? 0 : 1)
