import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EventName } from '../log/events.js'
import { processStat } from '../process-stat.js'

/** The children that have not ended. */
const live = new Set<Child>()

/**
 * Words before a command line that make the kernel kill the child when this process dies, even by SIGKILL. None where
 * `setpriv` (util-linux) is missing.
 */
const guard: readonly string[] =
  spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true'], { stdio: 'ignore' }).status === 0
    ? ['setpriv', '--pdeathsig', 'KILL']
    : []

export interface ChildOptions {
  /** Name of the child in error messages. */
  name: string
  /** The child is killed after this many seconds. */
  seconds: number
  /** Environment variables in addition to those of this process. */
  env?: Record<string, string>
  /** True: its stdin is a pipe that stays open. Default: it reads from /dev/null. */
  stdin?: boolean
}

/** A log line of `fake-tcp client` or `fake-tcp server`. */
export interface Logged {
  readonly event: EventName
  /** As pino has it: 20 debug, 30 info, 40 warn, 50 error. */
  readonly level: number
  readonly time: string
  readonly msg: string
  /** Number of events that the line stands for; left out: 1. */
  readonly count?: number
  readonly [field: string]: unknown
}

/** A program that the lab has started. It gathers the program's output, and kills it when its time is over. */
export class Child {
  readonly name: string
  readonly process: ChildProcess
  /** Resolves to the exit code, the name of the signal that killed it, or the message of a failed start. */
  readonly ended: Promise<number | string>
  stdout = ''
  stderr = ''

  constructor(command: readonly string[], options: ChildOptions) {
    this.name = options.name
    const [program, ...args] = [...guard, ...command]
    this.process = spawn(program, args, {
      stdio: [options.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    })
    live.add(this)
    this.process.stdout?.setEncoding('utf8').on('data', text => {
      this.stdout += text
    })
    this.process.stderr?.setEncoding('utf8').on('data', text => {
      this.stderr += text
    })
    const timer = setTimeout(() => this.process.kill('SIGKILL'), options.seconds * 1000)
    const finished = once(this.process, 'close').then(
      ([code, signal]) => (code ?? signal) as number | string,
      (error: Error) => error.message,
    )
    this.ended = finished.finally(() => {
      clearTimeout(timer)
      live.delete(this)
    })
  }

  get pid(): number {
    if (this.process.pid === undefined) throw new Error(`${this.name} did not start`)
    return this.process.pid
  }

  get running(): boolean {
    return live.has(this)
  }

  /**
   * Waits until `test` returns true. Rejects when the child ends before that, or after `seconds`. `what`: for messages.
   */
  async until(test: () => boolean, what: string, seconds = 10): Promise<void> {
    const end = performance.now() + seconds * 1000
    while (!test()) {
      if (!this.running) throw new Error(`${this.name} ended before ${what}: ${await this.ended}\n${this.stderr}`)
      if (performance.now() > end) throw new Error(`${this.name}: no ${what} after ${seconds} s\n${this.stderr}`)
      await sleep(20)
    }
  }

  /** The lines that a client or server has logged so far, or those of one event. */
  logged(event?: EventName): Logged[] {
    const mark = event === undefined ? '' : `"event":"${event}"`
    const lines = this.stderr.split('\n').slice(0, -1)
    return lines
      .filter(line => line.startsWith('{') && line.includes(mark))
      .map(line => JSON.parse(line) as Logged)
      .filter(logged => event === undefined || logged.event === event)
  }

  /** Number of times that a client or server has logged an event, repeated ones in one line included. */
  times(event: EventName): number {
    return this.logged(event).reduce((sum, { count = 1 }) => sum + count, 0)
  }

  /** Sends SIGTERM, and SIGKILL after `grace` milliseconds. Resolves when the child has ended. */
  async stop(grace = 2000): Promise<void> {
    if (!this.running) return
    this.process.kill('SIGTERM')
    const killer = setTimeout(() => this.process.kill('SIGKILL'), grace)
    await this.ended
    clearTimeout(killer)
  }

  /** Waits for the child's end and parses the last line of its stdout. Rejects when it failed or printed nothing. */
  async json<T>(): Promise<T> {
    const code = await this.ended
    const line = this.stdout.trim().split('\n').at(-1) ?? ''
    if (code !== 0 || line === '') throw new Error(`${this.name} ended with ${code}\n${this.stderr}`)
    return JSON.parse(line) as T
  }

  /** CPU time of all threads so far, user and system, in seconds. It lacks what softirqs did outside of the process. */
  cpuSeconds(): number {
    return processStat(`/proc/${this.pid}/stat`).cpuMs / 1000
  }

  /** Resident memory in MiB. */
  residentMiB(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'latin1')
    return Number(/VmRSS:\s+(\d+)/u.exec(status)?.[1] ?? 0) / 1024
  }

  /** Peak resident memory in units of 1,000 KiB. */
  peakMemory(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'latin1')
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1000
  }

  /** Text of /proc/PID/net/FILE, which shows the child's network namespace; empty when the child has ended. */
  net(file: string): string {
    try {
      return readFileSync(`/proc/${this.pid}/net/${file}`, 'latin1')
    } catch {
      return ''
    }
  }

  /** Whether the child's network namespace has this interface. */
  hasInterface = (name: string): boolean => this.net('dev').includes(`${name}:`)

  /** Whether an unconnected IPv4 socket in the child's network namespace is bound to this UDP port. */
  hasUdpPort = (port: number): boolean =>
    this.net('udp').includes(`:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000`)
}

/** Stops every child: SIGTERM, and SIGKILL after `grace` milliseconds. Resolves when all have ended. */
export const stopAll = async (grace = 2000): Promise<void> => {
  await Promise.all([...live].map(child => child.stop(grace)))
}

/** Kills every child and does not wait: for `exit` handlers. */
export const killAll = (): void => {
  for (const child of live) child.process.kill('SIGKILL')
}
