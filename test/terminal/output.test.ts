/** Standard output that cannot be written: no stack trace, whatever the command. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))

/** Runs a shell script in which `"$@"` is the program. */
const run = (script: string, ...args: string[]) => {
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', process.execPath, main, ...args], {
    encoding: 'utf8',
    timeout: 30_000,
  })
  return { status, stdout, stderr }
}

const sentence = /^fake-tcp: Standard output cannot be written \(ENOSPC\): look at where it goes\.\n$/u

for (const args of [['--help'], ['--version'], ['client', '--help'], ['status', '--json']]) {
  const name = args.join(' ')
  t.test(name, async t => {
    t.match(run('"$@" >/dev/full', ...args), { status: 1, stderr: sentence }, 'a full disk')
    // The reader is gone before anything is written.
    const { stderr, status } = run('"$@" > >(exec true); exit $?', ...args)
    t.same({ stderr, trace: status === 1 }, { stderr: '', trace: false }, 'a reader that has seen enough')
    t.equal(run('"$@" >&-', ...args).stderr, '', 'none at all')
  })
}

t.test('what was typed is wrong, and nobody hears it', async t => {
  for (const redirection of ['2>/dev/full', '2>&-', '2> >(exec true)', '>&- 2>&- <&-']) {
    t.match(run(`"$@" ${redirection}`, 'client'), { status: 2, stdout: '' }, redirection)
  }
})
