/** `fake-tcp status`: who is found where, by whom, and what the exit code says. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Child, stopAll } from '../../src/lab/child.js'
import { cli, commandLine, endWith } from '../support/programs.js'

/** Nobody: a user that every Debian has. */
const nobody = 65_534

const folder = mkdtempSync(join(tmpdir(), 'fake-tcp-'))
spawnSync('ip', ['link', 'set', 'lo', 'up'])
t.teardown(() => stopAll().finally(() => rmSync(folder, { recursive: true })))

/** Sockets are looked for in fewer places here. */
const env = { TMPDIR: folder, XDG_RUNTIME_DIR: '', RUNTIME_DIRECTORY: '' }

/** A machine's own /run, and whoever runs there: instances of other tests are not seen. */
const openMachine = async (t: Test, { readOnly = false } = {}) => {
  const mount = `mount -t tmpfs ${readOnly ? '-o ro ' : ''}none /run && exec cat`
  const holder = endWith(
    t,
    new Child(['unshare', '--mount', 'sh', '-c', mount], { name: 'machine', seconds: 120, stdin: true }),
  )
  const enter = ['nsenter', '-t', String(holder.pid), '-m', '--']
  const isPrivate = () => spawnSync(enter[0], [...enter.slice(1), 'test', '-e', '/run/lock']).status === 1
  await holder.until(isPrivate, 'a /run of its own')
  const start = async (role: 'client' | 'server', flags: readonly string[] = []): Promise<Child> => {
    const command = [...enter, ...commandLine(role, { flags })]
    const child = endWith(t, new Child(command, { name: role, seconds: 120, env }))
    await child.until(() => child.times('ready') > 0, 'readiness', 20)
    return child
  }
  const ask = (args: readonly string[] = [], as: readonly string[] = []) => {
    const [program, ...rest] = [...enter, ...as, ...cli, 'status', ...args]
    const began = performance.now()
    const { status, stdout, stderr } = spawnSync(program, rest, {
      encoding: 'utf8',
      env: { ...process.env, ...env },
      timeout: 30_000,
    })
    t.equal(stderr, '')
    return { code: status, stdout, ms: performance.now() - began }
  }
  /** Whether this socket is there, as the machine sees it. */
  const holds = (path: string): boolean => existsSync(`/proc/${holder.pid}/root${path}`)
  return { start, ask, holds }
}

t.test('nobody runs', async t => {
  const { ask } = await openMachine(t)
  t.match(ask(), { code: 3, stdout: 'No fake-tcp client or server of this user is running.\n' })
  t.match(ask(['--json']), { code: 3, stdout: '[]\n' })
})

t.test('all answer, one does not, none does', async t => {
  const { start, ask } = await openMachine(t)
  const client = await start('client')
  const server = await start('server')
  const [one, two] = [`client ${client.pid}`, `server ${server.pid}`]
  t.match(ask(), {
    code: 0,
    stdout: new RegExp(`^${one} on tuna: 127[^\\n]+, up \\d+ s, 0 connections\\n[^]*^${two} on tunb: port`, 'mu'),
  })
  const shape = { role: 'client', pid: client.pid, answering: true, stats: { device: 'tuna', connections: 0 } }
  t.match(JSON.parse(ask(['--json']).stdout), [shape, { role: 'server', answering: true }])

  client.process.kill('SIGSTOP')
  const some = ask()
  t.match(some, { code: 1, stdout: new RegExp(`^${one} does not answer\\n${two} on tunb`, 'u') })
  t.ok(some.ms < 15_000, `answered after ${some.ms.toFixed()} ms`)
  t.match(JSON.parse(ask(['--json']).stdout), [
    { role: 'client', pid: client.pid, answering: false },
    { pid: server.pid },
  ])

  server.process.kill('SIGSTOP')
  t.match(ask(), { code: 3, stdout: `${one} does not answer\n${two} does not answer\n` })
  for (const child of [client, server]) child.process.kill('SIGCONT')
  t.equal(ask().code, 0)
})

t.test('one that was killed leaves nothing that stays', async t => {
  const { start, ask, holds } = await openMachine(t)
  const client = await start('client')
  const path = `/run/fake-tcp/client-${client.pid}.sock`
  t.ok(holds(path))
  client.process.kill('SIGKILL')
  await client.ended
  await sleep(1_200)
  t.match(ask(), { code: 3, stdout: /^No fake-tcp/u })
  t.notOk(holds(path), 'its socket is gone')
})

t.test('one without descriptors is listed', async t => {
  const { start, ask } = await openMachine(t)
  const client = await start('client')
  spawnSync('prlimit', ['--pid', String(client.pid), '--nofile=4:4'])
  const { code, stdout } = ask()
  t.match(stdout, new RegExp(`^client ${client.pid} `, 'u'))
  t.equal(code, stdout.includes('does not answer') ? 3 : 0)
})

const readable = spawnSync('setpriv', ['--reuid', String(nobody), '--clear-groups', 'test', '-r', cli[1]]).status === 0
const skip = readable ? false : `an ordinary user may not read ${cli[1]}`
const asNobody = ['setpriv', '--reuid', String(nobody), '--regid', String(nobody), '--clear-groups', '--']

t.test('--user: both this user and root are told, and nothing is left', { skip }, async t => {
  const { start, ask, holds } = await openMachine(t)
  const client = await start('client', ['--user', 'nobody'])
  const path = `/run/fake-tcp/${nobody}/client-${client.pid}.sock`
  t.ok(holds(path))
  t.match(ask(), { code: 0, stdout: new RegExp(`^client ${client.pid} on tuna`, 'u') })
  t.match(ask([], asNobody), { code: 0, stdout: new RegExp(`^client ${client.pid} on tuna`, 'u') })
  client.process.kill('SIGTERM')
  t.equal(await client.ended, 0)
  t.notOk(holds(path), 'its socket is gone')
})

t.test("another user's instances are not shown, and no error", { skip }, async t => {
  const { start, ask } = await openMachine(t)
  await start('client')
  t.match(ask([], asNobody), { code: 3, stdout: /^No fake-tcp client or server of this user/u })
})

t.test('nowhere a place: one warning, and the tunnel runs', async t => {
  rmSync(folder, { recursive: true })
  const { start, ask } = await openMachine(t, { readOnly: true })
  // A file where the temporary directory should be.
  spawnSync('touch', [folder])
  const client = await start('client')
  const warnings = client.logged().filter(({ level }) => level === 40)
  t.match(warnings, [{ event: 'status-unavailable' }])
  t.equal(ask().code, 3)
  client.process.kill('SIGTERM')
  t.equal(await client.ended, 0)
})
