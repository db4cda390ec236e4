/** Whatever becomes of the log: the tunnel carries, answers `fake-tcp status` and ends with SIGTERM as if nothing were. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { askStatus } from '../../src/cli/status-socket.js'
import { type Child, stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { commandLine, endWith } from '../support/programs.js'
import { knock, startService, UdpSource } from '../support/udp-source.js'

const network = await createNetwork('plain')
const folder = mkdtempSync(join(tmpdir(), 'fake-tcp-'))
t.teardown(() =>
  network
    .close()
    .finally(() => stopAll())
    .finally(() => rmSync(folder, { recursive: true })),
)
/** Where the sockets for `fake-tcp status` are, and are looked for. */
process.env.RUNTIME_DIRECTORY = folder

// All clients have the same server, which cannot say a word either.
await startService(t, network.b, 4)
const serverCommand = ['sh', '-c', 'exec "$@" 2>/dev/full', 'sh', ...commandLine('server')]
const server = network.b.run(serverCommand, { name: 'server', seconds: 240 })
await server.until(() => existsSync(join(folder, `server-${server.pid}.sock`)), 'readiness', 20)

/** Whether a client is ready: its log may not tell. */
const isReady = (pid: number): boolean => existsSync(join(folder, `client-${pid}.sock`))

/** Starts a client by a shell that redirects (`"$@"` is the client), and waits until it is ready. */
const startClient = async (t: Test, script: string, flags: readonly string[] = []): Promise<Child> => {
  const command = ['sh', '-c', script, 'sh', ...commandLine('client', { flags })]
  const client = endWith(t, network.a.run(command, { name: 'client', seconds: 60 }))
  await client.until(() => isReady(client.pid), 'readiness', 20)
  return client
}

/** The connections of a process, by what it answers to `fake-tcp status`. */
const connections = async ({ pid }: { pid: number }): Promise<number | undefined> => {
  const found = (await askStatus()).find(found => found.pid === pid)
  return found?.answering ? found.stats.connections : undefined
}

/** A tunnel with this client: it carries, answers, and ends well. */
const judge = async (t: Test, client: Child): Promise<void> => {
  const [one, two] = [await UdpSource.open(t), await UdpSource.open(t)]
  await knock(one, 'hello')
  await knock(two, 'hello')
  t.equal(await connections(client), 2, 'it answers')
  const start = performance.now()
  client.process.kill('SIGTERM')
  t.equal(await client.ended, 0, 'exit code')
  const took = performance.now() - start
  t.ok(took < 2_000, `gone after ${took.toFixed()} ms`)
}

/** Writes to a descriptor until there is no room. */
const fill = (fd: number): void => {
  // Small at the end: a pipe has room for less than a page then.
  for (const size of [4_096, 1]) {
    try {
      for (;;) writeSync(fd, '.'.repeat(size))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
  }
}

const eventsIn = (text: string): string[] =>
  text
    .split('\n')
    .filter(line => line !== '')
    .map(line => (JSON.parse(line) as { event: string }).event)

t.test('a pipe that nobody reads', async t => {
  const path = join(folder, 'pipe')
  execFileSync('mkfifo', [path])
  const pipe = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  t.teardown(() => closeSync(pipe))
  fill(pipe)
  const client = await startClient(t, `exec "$@" 2>${path}`)
  await judge(t, client)
})

t.test('a pipe whose reader comes back', async t => {
  const path = join(folder, 'slow')
  execFileSync('mkfifo', [path])
  const pipe = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  t.teardown(() => closeSync(pipe))
  fill(pipe)
  await startClient(t, `exec "$@" 2>${path}`)
  await knock(await UdpSource.open(t), 'hello')
  const bytes = Buffer.alloc(1 << 20)
  let text = ''
  for (let i = 0; i < 100 && !text.includes('"event":"source-new"'); i++) {
    try {
      text += bytes.toString('utf8', 0, readSync(pipe, bytes))
    } catch {
      await sleep(50)
    }
  }
  t.same(eventsIn(text.replace(/^\.*/u, '')), ['ready', 'source-new'], 'what waited is there, and whole')
})

t.test('a pipe whose reader is gone', async t => {
  const path = join(folder, 'gone')
  execFileSync('mkfifo', [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const client = await startClient(t, `exec "$@" 2>${path}`)
  closeSync(reader)
  await judge(t, client)
})

t.test('a socket that nobody reads', async t => {
  // `Child` gives its own end of a socket pair, and stops to read it.
  const command = commandLine('client')
  const client = endWith(t, network.a.run(command, { name: 'client', seconds: 60 }))
  client.process.stderr?.pause()
  await client.until(() => isReady(client.pid), 'readiness', 20)
  await judge(t, client)
})

for (const [name, redirection] of [
  ['a device that is full', '2>/dev/full'],
  ['no standard error', '2>&-'],
  ['no standard input, output or error', '<&- >&- 2>&-'],
]) {
  t.test(name, async t => {
    await judge(t, await startClient(t, `exec "$@" ${redirection}`))
  })
}

t.test('a file that may not grow', async t => {
  await judge(t, await startClient(t, `ulimit -f 0; exec "$@" 2>${join(folder, 'small')}`))
})

t.test('a disk that is full for a while', async t => {
  const disk = join(folder, 'disk')
  const script = `mkdir ${disk} && mount -t tmpfs -o size=64k none ${disk} && cd ${disk} && touch log
    dd if=/dev/zero of=filler bs=4k 2>/dev/null
    exec "$@" 2>>log`
  const command = ['unshare', '--mount', 'sh', '-c', script, 'sh', ...commandLine('client')]
  const client = endWith(t, network.a.run(command, { name: 'client', seconds: 60 }))
  await client.until(() => isReady(client.pid), 'readiness', 20)
  const inside = `/proc/${client.pid}/root${disk}`
  const read = () => readFileSync(join(inside, 'log'), 'utf8')
  await knock(await UdpSource.open(t), 'hello')
  t.equal(read(), '', 'nothing could be written')
  rmSync(join(inside, 'filler'))
  await client.until(() => read().includes('"event":"source-new"'), 'the log', 5)
  t.same(eventsIn(read()), ['ready', 'source-new'])
})

/** The last one of a process, its child, that one's child … */
const youngest = (pid: number): number => {
  const child = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ')[0]
  return child === '' ? pid : youngest(Number(child))
}

/** Runs a client on a terminal; `script` is its other end, a shell between them notes the exit code. */
const startOnTerminal = async (t: Test) => {
  const code = join(folder, 'code')
  rmSync(code, { force: true })
  const quoted = commandLine('client')
    .map(word => `'${word}'`)
    .join(' ')
  // The terminal's own shell dies with it, and its whole group is told then; the one that notes the code does not care.
  const inner = `(trap "" HUP; ${quoted}; echo $? >${code}.new; mv ${code}.new ${code}); true`
  const terminal = endWith(
    t,
    network.a.run(['script', '--quiet', '--command', inner, '/dev/null'], { name: 'terminal', seconds: 60 }),
  )
  await terminal.until(() => terminal.stdout.includes('client is ready'), 'readiness', 20)
  const pid = youngest(terminal.pid)
  const exitCode = async (): Promise<string> => {
    for (let i = 0; i < 100; i++) {
      try {
        return readFileSync(code, 'latin1').trim()
      } catch {
        await sleep(20)
      }
    }
    return 'still running'
  }
  return { terminal, pid, exitCode }
}

const noScript = spawnSync('script', ['--version']).status !== 0 && 'the program script is missing'

t.test('a terminal that is closed: every connection is ended', { skip: noScript }, async t => {
  const { terminal, exitCode } = await startOnTerminal(t)
  await knock(await UdpSource.open(t), 'hello')
  t.notMatch(terminal.stdout, /\{"level"/u, 'text for people')
  terminal.process.kill('SIGKILL')
  t.equal(await exitCode(), '0')
  t.equal(await connections(server), 0, 'the server was told')
})

t.test('a terminal that stands still', { skip: noScript }, async t => {
  const { terminal, pid, exitCode } = await startOnTerminal(t)
  terminal.process.kill('SIGSTOP')
  const tty = openSync(
    readlinkSync(`/proc/${pid}/fd/2`),
    constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY,
  )
  fill(tty)
  closeSync(tty)
  await knock(await UdpSource.open(t), 'hello')
  process.kill(pid, 'SIGTERM')
  const isThere = () => existsSync(`/proc/${pid}/fd/2`)
  for (let i = 0; i < 100 && isThere(); i++) await sleep(20)
  t.notOk(isThere(), 'it is gone')
  terminal.process.kill('SIGCONT')
  t.equal(await exitCode(), '0')
})

t.test('nohup', async t => {
  const client = await startClient(t, 'exec nohup "$@"')
  const source = await UdpSource.open(t)
  await knock(source, 'hello')
  for (let i = 0; i < 3; i++) client.process.kill('SIGHUP')
  await client.until(() => client.times('nothing-to-reload') > 0, 'a word about it')
  await knock(source, 'still here')
  t.equal(client.times('source-new'), 1, 'by the same connection')
  client.process.kill('SIGTERM')
  t.equal(await client.ended, 0)
})

t.test('a silent log', async t => {
  const client = await startClient(t, 'exec "$@"', ['--log-level', 'silent'])
  await judge(t, client)
  t.equal(client.stderr, '')
})
