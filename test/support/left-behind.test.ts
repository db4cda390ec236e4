import { spawnSync } from 'node:child_process'
import t from 'tap'

const check = `--import=${new URL('left-behind.js', import.meta.url).href}`

/** A program that ends after what it does; its exit code and what is said of it. */
const run = (code: string) => {
  const { status, stderr } = spawnSync(process.execPath, [check, '--input-type=module', '-e', code], {
    encoding: 'utf8',
    timeout: 20_000,
  })
  return { status, left: stderr.split('\n').slice(1, -1) }
}

t.test('nothing', async t => {
  t.same(run(''), { status: 0, left: [] })
  t.same(run("import fs from 'node:fs'; fs.closeSync(fs.openSync('/dev/zero'))"), { status: 0, left: [] })
})

for (const [what, code, left] of [
  ['a descriptor', "import fs from 'node:fs'; fs.openSync('/dev/zero')", /^ {2}a descriptor: \/dev\/zero$/],
  [
    'a thread',
    "import { Worker } from 'node:worker_threads'; new Worker('setInterval(() => {}, 1000)', { eval: true }).unref(); await new Promise(done => setTimeout(done, 200))",
    /^ {2}a thread: number \d+$/,
  ],
  [
    'a process',
    "import { spawn } from 'node:child_process'; spawn('sleep', ['2'], { stdio: 'ignore', detached: true }).unref(); await new Promise(done => setTimeout(done, 200))",
    /^ {2}a process: sleep 2$/,
  ],
  [
    'a temporary file',
    "import fs from 'node:fs'; import os from 'node:os'; fs.writeFileSync(os.tmpdir() + '/x', '')",
    /^ {2}a temporary file: x$/,
  ],
] as const) {
  t.test(what, async t => {
    const { status, left: said } = run(code)
    t.equal(status, 1)
    t.ok(
      said.some(line => left.test(line)),
      said.join('\n'),
    )
  })
}

t.test('what a test says of its own failure stays', async t => {
  t.equal(run("import fs from 'node:fs'; fs.openSync('/dev/zero'); process.exitCode = 7").status, 1)
  t.equal(run('process.exitCode = 7').status, 7)
})
