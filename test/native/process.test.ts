import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type Memory, native } from '../../src/native.js'
import { failure, sharedArena } from '../support/native.js'

const folder = mkdtempSync(join(tmpdir(), 'fake-tcp-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const nativeUrl = new URL('../../src/native.js', import.meta.url).href

/** Both ends of a pipe in one descriptor that waits; it is closed with the test. */
const openPipe = (name: string): number => {
  const path = join(folder, name)
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDWR)
  t.teardown(() => closeSync(fd))
  return fd
}

const isNonBlocking = (fd: number): boolean => {
  const flags = /flags:\s+(\d+)/u.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? ''
  return (Number.parseInt(flags, 8) & constants.O_NONBLOCK) !== 0
}

/** Writes until there is no room. The bytes that were taken, and the answer that ended it. */
const fill = (fd: number, memory: Memory, length: number): { bytes: number; last: number } => {
  for (let bytes = 0; ; ) {
    const last = native.writeNow(fd, memory, 0, length)
    if (last <= 0) return { bytes, last }
    bytes += last
  }
}

t.test('writeNow: a pipe that nobody reads', async t => {
  const fd = openPipe('pipe')
  const { bytes, last } = fill(fd, new Uint8Array(100_000), 100_000)
  t.same({ bytes, last }, { bytes: 65_536, last: failure('EAGAIN') }, 'full, and it did not wait')
  t.notOk(isNonBlocking(fd), 'others who have it are not told')
  readSync(fd, new Uint8Array(4_096))
  t.equal(native.writeNow(fd, new Uint8Array(10_000), 0, 10_000), 4_096, 'as much as surely has room')
})

t.test('writeNow: what it takes is what was asked for', async t => {
  const fd = openPipe('bytes')
  const { arena, bytes } = sharedArena(100)
  bytes.set(Buffer.from('hello, world'), 10)
  t.equal(native.writeNow(fd, arena, 10, 5), 5)
  t.equal(native.writeNow(fd, Buffer.from(' there'), 0, 6), 6)
  const got = Buffer.alloc(20)
  t.equal(got.toString('latin1', 0, readSync(fd, got)), 'hello there')
  t.equal(native.writeNow(fd, arena, 90, 11), failure('EFAULT'))
  t.equal(native.writeNow(fd, arena, 0, -1), failure('EFAULT'))
})

t.test('writeNow: files', async t => {
  const path = join(folder, 'file')
  const fd = openSync(path, 'w')
  t.equal(native.writeNow(fd, Buffer.from('hello'), 0, 5), 5)
  closeSync(fd)
  t.equal(readFileSync(path, 'latin1'), 'hello')
  t.equal(native.writeNow(fd, Buffer.from('hello'), 0, 5), failure('EBADF'))
  const full = openSync('/dev/full', 'w')
  t.equal(native.writeNow(full, Buffer.from('hello'), 0, 5), -28, 'ENOSPC')
  closeSync(full)
})

t.test('writeNow: a pipe whose reader is gone', async t => {
  const path = join(folder, 'gone')
  execFileSync('mkfifo', [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writer = openSync(path, 'w')
  closeSync(reader)
  t.equal(native.writeNow(writer, Buffer.from('hello'), 0, 5), failure('EPIPE'))
  closeSync(writer)
})

t.test('writeNow: a socket that waits, and that nobody reads', async t => {
  // Node.js gives children one end of a socket pair, which waits.
  const code = `
    import { readFileSync } from 'node:fs'
    import { native } from '${nativeUrl}'
    const flags = parseInt(/flags:\\s+(\\d+)/.exec(readFileSync('/proc/self/fdinfo/2'))[1], 8)
    const blocking = (flags & ${constants.O_NONBLOCK}) === 0
    let last = 1
    for (let i = 0; i < 10_000 && last > 0; i++) last = native.writeNow(2, new Uint8Array(1_000), 0, 1_000)
    console.log(JSON.stringify({ blocking, last }))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 20_000,
  })
  let said = ''
  child.stdout.on('data', text => {
    said += text
  })
  const [exit] = await once(child, 'exit')
  t.equal(exit, 0)
  t.same(JSON.parse(said), { blocking: true, last: failure('EAGAIN') })
})

t.test('exitAfter: the process ends, whatever its threads do', async t => {
  const code = `
    import { native } from '${nativeUrl}'
    if (native.exitAfter(0, 1) !== ${failure('EINVAL')}) throw new Error('0 ms were accepted')
    native.exitAfter(100, 7)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)`
  const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { timeout: 20_000 })
  t.equal(status, 7)
})
