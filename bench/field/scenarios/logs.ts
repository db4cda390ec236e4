/** A log that nobody can write, or that nobody reads. */
import { spawnSync } from 'node:child_process'
import { closeSync, constants, openSync, readFileSync, readlinkSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../../src/lab/child.js'
import { missingTool } from '../../../src/lab/tools.js'
import type { EventName } from '../../../src/log/events.js'
import type { Scenario } from '../../checks/scenario.js'
import { tuns } from '../../ends.js'
import { answers, knocks, wayOut } from '../life.js'
import { Stage, type Start } from '../stage.js'

/** Words before a command whose log goes elsewhere: `>file`, `2>&-`. */
const redirected = (redirection: string): Start => ({
  before: ['sh', '-c', `exec "$@" ${redirection}`, 'sh'],
  unheard: true,
})

/** A small disk that a process sees in its own mount namespace. */
const onSmallDisk = (folder: string): { start: Start; disk: (child: Child) => string } => {
  const place = join(folder, 'disk')
  const script = `mkdir ${place} && mount -t tmpfs -o size=1m none ${place} && exec "$@" 2>>${place}/log`
  return {
    start: { before: ['unshare', '--mount', 'sh', '-c', script, 'sh'], unheard: true },
    disk: child => `/proc/${child.pid}/root${place}`,
  }
}

/** Writes a file until the disk is full. */
const fillDisk = (path: string): void => {
  const fd = openSync(path, 'w')
  // The last writes are small, so that not even a part of a page is left.
  for (const size of [65_536, 4_096, 1]) {
    try {
      for (;;) writeSync(fd, Buffer.alloc(size, '.'))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }
  closeSync(fd)
}

/** Writes to a pipe or a terminal until it takes no more. Answers the bytes it took. */
const fillPipe = (fd: number): number => {
  let written = 0
  for (const size of [4_096, 1]) {
    try {
      for (;;) written += writeSync(fd, '.'.repeat(size))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
  }
  return written
}

/** A little later the kernel passes on what a terminal was given, which makes room again. */
const fillTerminal = async (path: string): Promise<void> => {
  const tty = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  for (let full = 0; full < 5; await sleep(20)) full = fillPipe(tty) === 0 ? full + 1 : 0
  closeSync(tty)
}

/**
 * A named pipe, and the end that reads it. With `keep` that end is open for writing too, so that nobody waits for a
 * writer.
 */
const makePipe = (stage: Stage, name: string, keep: boolean): { path: string; fd: number } => {
  const path = join(stage.folder, name)
  spawnSync('mkfifo', [path])
  return { path, fd: openSync(path, (keep ? constants.O_RDWR : constants.O_RDONLY) | constants.O_NONBLOCK) }
}

interface Line {
  readonly event: EventName
  readonly msg: string
  readonly lines?: number
  readonly reason?: string
}
const linesOf = (path: string): Line[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter(line => line.endsWith('}'))
    .map(line => JSON.parse(line) as Line)

/**
 * Sizes that no connection carries. Each size has a sentence of its own in the log, so the log folds none of them into
 * another.
 */
const sizes = 95
/** The number of these that pass one by one. */
const flowsPerSize = 3
/** Milliseconds after which the log has room for as many other sentences. */
const forgottenMs = 11_000

/**
 * Makes the client log more than its queue of lines holds, by connections that each have one datagram that is too
 * large.
 */
const talkative = async (stage: Stage): Promise<void> => {
  for (let round = 0; round < 4; round++) {
    for (let flow = 0; flow < sizes * flowsPerSize; flow++) {
      const application = await stage.application()
      application.send('hello')
      application.send(Buffer.alloc(2_000 + round * sizes + (flow % sizes)))
    }
    await sleep(forgottenMs)
  }
}

export const logs: readonly Scenario[] = [
  {
    name: 'log-full',
    what: "the server's log goes to `/dev/full`, the client's to a disk that fills up and has room again later",
    bar: 'the tunnel works all the time; lines that are missing are counted',
    phantun: true,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        const { start, disk } = onSmallDisk(stage.folder)
        const { client } = await stage.tunnel({ server: redirected('2>/dev/full'), client: start })
        await knocks(stage, seen, 'at first')
        const [log, filler] = [join(disk(client), 'log'), join(disk(client), 'filler')]
        fillDisk(filler)
        await knocks(stage, seen, 'with a full disk')
        const ours = context.kind === 'ours'
        if (ours && !context.short) await talkative(stage)
        await knocks(stage, seen, 'later')
        rmSync(filler)
        if (ours) {
          const gap = () => linesOf(log).find(({ event }) => event === 'lines-dropped')
          const isWritten = () =>
            context.short
              ? linesOf(log).filter(({ event }) => event === 'source-new').length === 3
              : gap() !== undefined
          await client.until(isWritten, 'the rest of the log', 20)
          seen.add(
            context.short ? 'all lines came later' : `says: "${gap()?.msg}" (${gap()?.lines} lines, ${gap()?.reason})`,
            context.short || ((gap()?.lines ?? 0) > 0 && gap()?.reason === 'ENOSPC'),
          )
        }
        await knocks(stage, seen, 'with room again')
      }),
  },
  {
    name: 'log-unread',
    what: "the client's log is a full pipe that nobody reads, the server's one whose reader has ended",
    bar: 'new connections, `fake-tcp status` and SIGTERM work',
    phantun: true,
    run: context =>
      Stage.with(context, async (stage, seen) => {
        const full = makePipe(stage, 'full', true)
        stage.finally(() => closeSync(full.fd))
        fillPipe(full.fd)
        const gone = makePipe(stage, 'gone', false)
        const { client, server } = await stage.tunnel({
          client: redirected(`2>${full.path}`),
          server: redirected(`2>${gone.path}`),
        })
        closeSync(gone.fd)
        for (const which of ['first', 'second']) await knocks(stage, seen, `${which} connection`)
        await answers(stage, seen, [client, server])
        for (const child of [client, server]) await wayOut(stage, seen, child)
      }),
  },
  {
    name: 'log-terminal-stopped',
    what: 'the client runs on a terminal that stands still, as after Ctrl-S',
    bar: 'new connections and SIGTERM work',
    phantun: true,
    long: true,
    absent: () => missingTool('script', 'bsdutils'),
    run: context =>
      Stage.with(context, async (stage, seen) => {
        await stage.echo()
        await stage.start('server')
        const file = join(stage.folder, 'run')
        // The shell becomes the program (exec), so the program is the terminal's only child.
        writeFileSync(file, `exec ${stage.command('client').join(' ')}\n`)
        const terminal = stage.run(stage.network.a, ['script', '--quiet', '--command', `sh ${file}`, '/dev/null'])
        const isReady = () =>
          context.kind === 'ours' ? terminal.stdout.includes('client is ready') : terminal.hasInterface(tuns.a)
        await terminal.until(isReady, 'readiness', 20)
        const pid = youngest(terminal.pid)
        terminal.process.kill('SIGSTOP')
        await fillTerminal(readlinkSync(`/proc/${pid}/fd/2`))
        for (const which of ['first', 'second']) await knocks(stage, seen, `${which} connection`)
        process.kill(pid, 'SIGTERM')
        const start = performance.now()
        const isThere = () => terminal.hasInterface(tuns.a)
        while (isThere() && performance.now() - start < 5_000) await sleep(10)
        const took = performance.now() - start
        seen.add(isThere() ? 'SIGTERM: still there' : `SIGTERM: gone after ${took.toFixed()} ms`, took < 2_500)
      }),
  },
]

/** Follows the first child of each process downwards, and answers the last process. */
const youngest = (pid: number): number => {
  const child = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ')[0]
  return child === '' ? pid : youngest(Number(child))
}
