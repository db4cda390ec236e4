// Runs compiled test files, each in a process of its own, several at once. Not by the runner of tap: that gives every
// process and every worker thread of a test module hooks with a thread of their own, and most tests here start workers (a stack then takes
// five times as long to open).
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** A file that takes longer has failed; tap itself gives up before, and says where. */
const limitSeconds = 600
const tapSeconds = 300

/** A failed assertion with its explanation, as TAP has them. */
const failures = /^( *)not ok .*\n(?:\1 {2}---\n(?:.*\n)*?\1 {2}\.\.\.\n)?/gm

const read = path => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return {}
  }
}

/** One file: its TAP goes to `log`. */
const run = (root, file, log) =>
  new Promise(resolve => {
    const began = performance.now()
    // Every file is asked at its end what it has left behind.
    const check = `--import=${pathToFileURL(join(root, 'dist/test/support/left-behind.js')).href}`
    const child = spawn(process.execPath, ['--enable-source-maps', check, join(root, 'dist/test', file)], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TAP_TIMEOUT: String(tapSeconds) },
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), limitSeconds * 1000)
    let tap = ''
    let complaints = ''
    child.stdout.setEncoding('utf8').on('data', text => {
      tap += text
    })
    child.stderr.setEncoding('utf8').on('data', text => {
      complaints += text
    })
    child.on('error', error => {
      complaints += error.message
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      mkdirSync(dirname(log), { recursive: true })
      writeFileSync(log, tap + complaints)
      resolve({ tap, complaints, ended: code ?? signal, seconds: (performance.now() - began) / 1000 })
    })
  })

/** tap's last line, `# { total: 9, pass: 7, fail: 1, skip: 1 }`; parts that are zero are left out. */
const countsOf = tap => {
  const summary = tap.match(/^# \{ total: .*\}$/gm)?.at(-1) ?? ''
  const count = name => Number(summary.match(new RegExp(`\\b${name}: (\\d+)`))?.[1] ?? 0)
  return { pass: count('pass'), fail: count('fail'), skip: count('skip') + count('todo') }
}

const report = (file, { tap, complaints, ended, seconds }) => {
  const { pass, fail, skip } = countsOf(tap)
  // A process that dies, or leaves something behind, has failed whatever it counted.
  const failed = Math.max(fail, ended === 0 ? 0 : 1)
  const notes = [...(skip > 0 ? [`${skip} skipped`] : []), ...(ended === 0 ? [] : [`ended with ${ended}`])]
  const name = file.replace(/\.test\.js$/, '')
  console.log(
    `${failed === 0 ? 'ok    ' : 'FAILED'} ${name}  ${pass} passed${failed === 0 ? '' : `, ${failed} failed`}, ${[`${seconds.toFixed(1)} s`, ...notes].join(', ')}`,
  )
  if (failed > 0) {
    console.log(tap.match(failures)?.join('') ?? tap.slice(-2_000))
    console.log(complaints)
  } else if (skip > 0) {
    for (const reason of tap.match(/^ *# skipped: .*/gm) ?? tap.match(/# SKIP.*/g) ?? [])
      console.log(`       ${reason.trim()}`)
  }
  return { passed: pass, failed, skipped: skip }
}

/** Runs `files` (below dist/test) and prints a line for each; the sums of what they counted. What took longest last time begins. */
export const runFiles = async (root, files) => {
  const known = join(root, '.tap/seconds.json')
  const seconds = read(known)
  const queue = [...files].sort((a, b) => (seconds[b] ?? 1_000) - (seconds[a] ?? 1_000))
  const sums = { passed: 0, failed: 0, skipped: 0 }
  const work = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await run(root, file, join(root, '.tap', file.replace(/\.js$/, '.tap')))
      seconds[file] = result.seconds
      const counts = report(file, result)
      for (const name of Object.keys(sums)) sums[name] += counts[name]
    }
  }
  // One more than there are cores: most tests wait for a part of their time.
  await Promise.all(Array.from({ length: availableParallelism() + 1 }, work))
  mkdirSync(dirname(known), { recursive: true })
  writeFileSync(known, JSON.stringify(seconds))
  return sums
}
