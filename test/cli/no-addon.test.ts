/** The program as an installer leaves it that runs no scripts: everything but the addon is there. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'fake-tcp-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const installed = join(folder, 'node_modules/fake-tcp')
mkdirSync(installed, { recursive: true })
cpSync(join(root, 'dist/src'), join(installed, 'dist/src'), { recursive: true })
cpSync(join(root, 'package.json'), join(installed, 'package.json'))
symlinkSync(join(root, 'node_modules'), join(installed, 'node_modules'))

const run = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(installed, 'dist/src/cli/main.js'), ...args], {
    encoding: 'utf8',
    timeout: 30_000,
    env: { ...process.env, XDG_RUNTIME_DIR: folder },
  })
  return { status, stdout, stderr }
}

const wanted = `npm --prefix ${installed} run build:native`

t.test('what needs no addon works', async t => {
  t.match(run('--version'), { status: 0, stdout: /^\d+\.\d+\.\d+\n$/u, stderr: '' })
  t.match(run('--help'), { status: 0, stdout: /^Usage: fake-tcp/u, stderr: '' })
  t.match(run('client', '--help'), { status: 0, stdout: /--remote/u, stderr: '' })
})

t.test('client and server say what is missing, in one sentence', async t => {
  for (const args of [
    ['client', '--local', '127.0.0.1:4500', '--remote', '127.0.0.1:4567'],
    ['server', '--local', '4567', '--remote', '127.0.0.1:4600'],
  ]) {
    const { status, stdout, stderr } = run(...args)
    t.match(stderr, wanted)
    t.match(stderr, /^fake-tcp: The addon of fake-tcp [^\n]+\.\n$/u, 'one line')
    t.same({ status, stdout }, { status: 1, stdout: '' }, args[0])
  }
})

t.test('doctor says it among its findings', async t => {
  const { status, stdout, stderr } = run('doctor')
  t.match(stdout, /^ok +Node\.js .*\nFAIL +The addon of fake-tcp was not built /u)
  t.match(stdout, wanted)
  t.same({ status, stderr }, { status: 1, stderr: '' })
})
