/** Where an ordinary user's instance puts its socket. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'

const url = new URL('../../src/cli/status-places.js', import.meta.url)
const isRoot = process.getuid?.() === 0
/** A user that no machine has: nothing of its own is anywhere. */
const user = isRoot ? 54_321 : (process.getuid?.() ?? 0)
/** tap loads into all children what writes where this user may not. */
const become = isRoot ? ['setpriv', '--reuid', String(user), '--regid', String(user), '--clear-groups', '--'] : []
const readable = spawnSync('sh', ['-c', 'exec "$@"', 'sh', ...become, 'test', '-r', url.pathname]).status === 0
const skip = readable ? false : `an ordinary user may not read ${url.pathname}`

// The test's own temporary directory, made for it alone: others must pass through it here.
if (basename(tmpdir()).startsWith('fake-tcp-test-')) chmodSync(tmpdir(), 0o711)

const open = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'fake-tcp-'))
  chmodSync(folder, 0o1777)
  t.teardown(() => rmSync(folder, { recursive: true }))
  return folder
}

const find = (env: Record<string, string>): string => {
  const code = `import { findPlace, placesToLook } from '${url.href}'
    console.log([findPlace() ?? 'none', placesToLook().includes(findPlace()) ? 'seen' : 'not seen'].join(' '))`
  const [program, ...args] = [...become, process.execPath, '--input-type=module', '-e', code]
  const names = { XDG_RUNTIME_DIR: '', RUNTIME_DIRECTORY: '' }
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, ...names, ...env } })
  return (stdout + stderr).trim()
}

t.test('the temporary directory, where there is nothing else', { skip }, async t => {
  const folder = open(t)
  const place = join(folder, `fake-tcp-${user}`)
  t.equal(find({ TMPDIR: folder }), `${place} seen`)
  t.equal(statSync(place).mode & 0o777, 0o700)
  t.equal(statSync(place).uid, user)
  chmodSync(place, 0o777)
  t.equal(find({ TMPDIR: folder }), `${place} seen`)
  t.equal(statSync(place).mode & 0o777, 0o700, 'closed to others')
})

t.test('the folder of a login, and of a service', { skip }, async t => {
  const folder = open(t)
  t.equal(find({ TMPDIR: folder, XDG_RUNTIME_DIR: folder }), `${join(folder, 'fake-tcp')} seen`)
  const own = join(folder, 'fake-tcp')
  t.equal(find({ TMPDIR: folder, RUNTIME_DIRECTORY: `${own}:/nowhere` }), `${own} seen`)
})

t.test('a folder that somebody else has put there', { skip: skip || (!isRoot && 'this needs root') }, async t => {
  const folder = open(t)
  const place = join(folder, `fake-tcp-${user}`)
  mkdirSync(place, { mode: 0o777 })
  t.equal(find({ TMPDIR: folder }), 'none not seen', 'theirs')
  rmSync(place, { recursive: true })
  symlinkSync(folder, place)
  t.equal(find({ TMPDIR: folder }), 'none not seen', 'a link')
})

t.test('a path that is too long for a socket', { skip }, async t => {
  const folder = join(open(t), 'x'.repeat(80))
  mkdirSync(folder)
  chmodSync(folder, 0o1777)
  t.equal(find({ TMPDIR: folder }), 'none not seen')
})
