/**
 * `npm run bench -- [options]`: our programs against their peers, on this machine, in network namespaces of their own.
 *
 * | option | |
 * |---|---|
 * | `--quick` | one round of 1 s per run instead of three of 4 s, only the most telling scenarios, at most three minutes |
 * | `--rounds N`, `--seconds S` | set them |
 * | `--list` | prints the names of all scenarios |
 * | `--only tunnel,library/1400` | groups or scenarios; what is named here is run with `--quick` too |
 * | `--peers fake-tcp,phantun` | beginnings of peers' names |
 * | `--shapes plain,wire` | kinds of wire (src/lab/network.ts) |
 * | `--quiet S` | waits up to S seconds per run until others use less than 10 % of the machine, and runs again if they did not |
 * | `--budget S` | leaves out what would end later than S seconds after the start |
 * | `--write-docs` | writes docs/benchmarks.md |
 * | `--from FILE` | makes no runs, but reports from an earlier bench/results/latest.json |
 * | `--again FILE` | with `--only`: measures these scenarios anew, and takes the others from an earlier latest.json |
 * | `--profile` | shows no figures, but where the processor time of our programs goes (needs perf) |
 * | `--no-build` | takes dist/ and .peers/ as they are |
 *
 * These run something else instead:
 *
 * | option | |
 * |---|---|
 * | `--cost` | bench/cost: heap per datagram, memory and processor time of idle connections, without a network |
 * | `--micro` | bench/micro: the parts of the hot path, without a network |
 * | `--torture` | bench/torture: what must hold when something arrives, fails or stops |
 * | `--field` | bench/field: what must hold on the machines that people have |
 * | `--soak` | bench/torture/soak: whether anything grows |
 *
 * It builds what is missing, starts dist/bench/main.js under `unshare --net`, and ends with its exit code: 1 when a run
 * of ours failed, 2 when nothing could be measured. The table goes to stdout and progress to stderr. Every run is in
 * bench/results/latest.json, tables and charts are in bench/results/report.html. It needs root, or user namespaces and
 * /dev/net/tun. What cannot be built is shown as absent.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { install } from './peers/install.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const main = join(root, 'dist/bench/main.js')
/** Runs in place of the benchmark, in the same kind of namespace. */
const courses = {
  '--torture': join(root, 'dist/bench/torture/main.js'),
  '--field': join(root, 'dist/bench/field/main.js'),
}
/** Runs by itself, without peers and namespaces. */
const alone = {
  '--micro': join(root, 'dist/bench/micro/main.js'),
  '--cost': join(root, 'dist/bench/cost/main.js'),
  '--soak': join(root, 'dist/bench/torture/soak.js'),
}

const newest = directory =>
  readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile() && entry.name.endsWith('.ts'))
    .reduce((time, entry) => Math.max(time, statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs), 0)

const npm = script => spawnSync('npm', ['run', '--silent', script], { cwd: root, stdio: ['ignore', 2, 2] }).status === 0

const build = () => {
  const hasAddon = ['build/Release', 'prebuilds'].some(directory => existsSync(join(root, directory)))
  if (!hasAddon && !npm('build:native')) throw new Error('The addon could not be built (npm run build:native).')
  const stale =
    !existsSync(main) || statSync(main).mtimeMs < Math.max(newest(join(root, 'src')), newest(join(root, 'bench')))
  if (!stale || npm('build:ts')) return
  if (!existsSync(main)) throw new Error('The TypeScript could not be compiled (npm run build:ts).')
  console.error('bench: the compiler found errors (above); what it wrote nevertheless is measured.')
}

const own = ['--no-build', ...Object.keys(courses), ...Object.keys(alone)]
const typed = process.argv.slice(2)
const options = typed.filter(option => !own.includes(option))
const single = alone[typed.find(option => option in alone)]
const course = courses[typed.find(option => option in courses)]
// These options read files only.
const runsPeers = single === undefined && !options.includes('--list') && !options.includes('--from')
try {
  if (!typed.includes('--no-build')) {
    build()
    const { absent, failed } = runsPeers ? install() : { absent: [], failed: [] }
    for (const sentence of [...absent, ...failed]) console.error(`bench: ${sentence}`)
  }
} catch (error) {
  console.error(error.message)
  process.exit(1)
}

const user = process.getuid() === 0 ? [] : ['--user', '--map-root-user']
const [program, ...args] =
  runsPeers || course !== undefined
    ? ['unshare', ...user, '--net', process.execPath, course ?? main, ...options]
    : [process.execPath, single ?? main, ...options]
const child = spawn(program, args, {
  stdio: ['ignore', 'inherit', 'inherit'],
  env: { ...process.env, FAKE_TCP_LAB: readlinkSync('/proc/self/ns/net') },
})
// The harness ends its own children, and this program waits for it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('error', error => {
  console.error(`${program} could not be started: ${error.message} (unshare is a part of util-linux)`)
  process.exit(1)
})
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 130 : 1)))
