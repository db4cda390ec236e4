import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, closeSync, constants, mkdtempSync, openSync, rmSync, statSync } from 'node:fs'
import { constants as os, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ErrorCode, FakeTcpError, invalid } from '../errors.js'
import { enter, unavailable } from '../lab/enter.js'
import type { DemoJob } from './jobs.js'
import { demoError } from './part.js'

export interface DemoOptions {
  /** Size in bytes of the file that the demo makes and sends. */
  readonly bytes: number
  /** Path of a file to send instead. */
  readonly file?: string
  /** Path for the packet capture; undefined: none is made. */
  readonly capture?: string
}

const tun = '/dev/net/tun'
/** Milliseconds from a signal until the processes inside are killed, if they have not ended. */
const graceMs = 4_000
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Runs the demo in private network namespaces and prints its results. Resolves to the exit code: 0; 1 when the files
 * differ, or when the demo failed and has printed why; 128 + the signal's number after a signal. Rejects with
 * FakeTcpError when the demo cannot start.
 */
export const runDemo = async (options: DemoOptions): Promise<number> => {
  checkMachine()
  const { file, capture } = options
  const bytes = file === undefined ? options.bytes : fileSize(file)
  if (capture !== undefined) checkWritable(capture)
  let stoppedBy: NodeJS.Signals | undefined
  let inside: ChildProcess | undefined
  const stop = (signal: NodeJS.Signals): void => {
    if (stoppedBy !== undefined) return
    stoppedBy = signal
    inside?.kill('SIGTERM')
    setTimeout(() => inside?.kill('SIGKILL'), graceMs).unref()
  }
  // Before the directory is made: a signal must not leave it behind.
  for (const signal of signals) process.on(signal, stop)
  const directory = makeDirectory()
  try {
    inside = startInside({
      directory,
      bytes,
      ...(file !== undefined && { file: resolve(file) }),
      ...(capture !== undefined && { capture: resolve(capture) }),
    })
    const [code, signal] = await ended(inside)
    if (stoppedBy !== undefined) return 128 + os.signals[stoppedBy]
    if (code === null) throw demoError(`The demo was ended by ${signal}.`)
    return code
  } finally {
    rmSync(directory, { recursive: true, force: true })
    for (const signal of signals) process.off(signal, stop)
  }
}

const ended = async (child: ChildProcess): Promise<[number | null, string | null]> => {
  try {
    return (await once(child, 'exit')) as [number | null, string | null]
  } catch (error) {
    throw demoError(`The demo could not be started: ${(error as Error).message}.`, error)
  }
}

/** Throws FakeTcpError when TUN interfaces or network namespaces cannot be made here. */
const checkMachine = (): void => {
  try {
    closeSync(openSync(tun, 'r+'))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EPERM') {
      throw new FakeTcpError(
        ErrorCode.PERMISSION,
        `This user may not open ${tun}: run the demo as root, or let users open it (chmod 666 ${tun}).`,
        { cause: error },
      )
    }
    throw new FakeTcpError(
      ErrorCode.NO_TUN,
      `${tun} cannot be opened (${code}): load the module (modprobe tun), or give the container the device.`,
      { cause: error },
    )
  }
  const reason = unavailable()
  if (reason !== undefined) throw demoError(reason)
}

const fileSize = (file: string): number => {
  try {
    accessSync(file, constants.R_OK)
    const stat = statSync(file)
    if (stat.isFile() && stat.size > 0) return stat.size
  } catch (error) {
    throw invalid(`--file ${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`)
  }
  throw invalid(`--file ${file} must be a regular file with content.`)
}

const makeDirectory = (): string => {
  try {
    return mkdtempSync(join(tmpdir(), 'fake-tcp-demo-'))
  } catch (error) {
    throw demoError(`No temporary directory could be made (${(error as Error).message}).`, error)
  }
}

const checkWritable = (capture: string): void => {
  try {
    const stat = statSync(capture, { throwIfNoEntry: false })
    if (stat?.isDirectory()) throw invalid(`--capture ${capture} is a directory.`)
    accessSync(stat === undefined ? dirname(resolve(capture)) : capture, constants.W_OK)
  } catch (error) {
    if (error instanceof FakeTcpError) throw error
    const { code } = error as NodeJS.ErrnoException
    throw invalid(`--capture ${capture} cannot be written (${code}): name another path, or use --no-capture.`)
  }
}

/**
 * Runs `inside.ts` in a private network namespace and in a session of its own. The session keeps a terminal's Ctrl-C
 * from the children, so that `inside.ts` ends them in order. Its stdin is a pipe that closes when this process ends,
 * even by SIGKILL.
 */
const startInside = (job: DemoJob): ChildProcess => {
  const entry = enter()
  const [program, ...args] = entry.command
  const script = fileURLToPath(new URL('inside.js', import.meta.url))
  return spawn(program, [...args, process.execPath, script, JSON.stringify(job)], {
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { ...process.env, ...entry.env },
    detached: true,
  })
}
