/**
 * Loaded before every test file (scripts/test.mjs): at its end there must be no descriptor, thread, child process (each of the tests' network
 * namespaces lives as long as one) and no temporary file that wasn't there at its beginning. Else the file fails, and says what is left.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMainThread, type Worker } from 'node:worker_threads'

const linkOf = (path: string): string | undefined => {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

/** What each descriptor is: 'socket', '/dev/net/tun', 'anon_inode:[eventfd]' … */
const descriptors = (): string[] =>
  readdirSync('/proc/self/fd').flatMap(fd => linkOf(`/proc/self/fd/${fd}`)?.replace(/:\[\d+\]$/u, '') ?? [])

const children = (): string[] =>
  readdirSync('/proc/self/task').flatMap(thread => {
    const pids = readFileSync(`/proc/self/task/${thread}/children`, 'latin1').split(' ').filter(Boolean)
    return pids.map(pid => readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim())
  })

/** What is in `after` and not, or not so often, in `before`. */
const added = (before: readonly string[], after: readonly string[]): string[] => {
  const rest = [...before]
  return after.filter(item => {
    const at = rest.indexOf(item)
    if (at >= 0) rest.splice(at, 1)
    return at < 0
  })
}

/** What Node.js and the test runner keep for the next run. */
const cache = /^(v8|node)-compile-cache/u

const watch = (): void => {
  // Opened when somebody first looks at them.
  void [process.stdin, process.stdout, process.stderr]
  const folder = mkdtempSync(join(tmpdir(), 'fake-tcp-test-'))
  process.env.TMPDIR = folder
  // Tunnels put their status sockets here instead of into the machine's /run; one that a test kills leaves its own.
  const sockets = join(folder, 'run')
  mkdirSync(sockets)
  process.env.RUNTIME_DIRECTORY = sockets
  const threads = new Set<Worker>()
  process.on('worker', worker => {
    threads.add(worker)
    worker.once('exit', () => threads.delete(worker))
  })
  const before = descriptors()
  process.on('exit', () => {
    const left = [
      ...added(before, descriptors()).map(what => `a descriptor: ${what}`),
      ...[...threads].map(({ threadId }) => `a thread: number ${threadId}`),
      ...children().map(what => `a process: ${what}`),
      ...readdirSync(folder)
        .filter(name => !cache.test(name) && name !== 'run')
        .map(name => `a temporary file: ${name}`),
    ]
    rmSync(folder, { recursive: true, force: true })
    if (left.length === 0) return
    console.error(`${process.argv[1]} left behind\n  ${left.join('\n  ')}`)
    process.exitCode = 1
  })
}

if (isMainThread) watch()
