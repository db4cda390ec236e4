import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EventName } from '../log/events.js'
import { processStat } from '../process-stat.js'

/** The children of the lab: every one is bounded in time, and ends by its pid, whatever happens here. */
const live = new Set<Child>()

/** `setpriv --pdeathsig`: the child dies with us even when we die of SIGKILL. Debian has it in util-linux. */
const guard: readonly string[] =
  spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true'], { stdio: 'ignore' }).status === 0
    ? ['setpriv', '--pdeathsig', 'KILL']
    : []

export interface ChildOptions {
  /** Shown in messages. */
  name: string
  /** Killed when it still runs after this many seconds. */
  seconds: number
  env?: Record<string, string>
  /** Keep a pipe to its stdin open; else it reads nothing. */
  stdin?: boolean
}

/** A line of our programs' log. */
export interface Logged {
  readonly event: EventName
  /** As pino has it: 30 for information, 40 for warnings, 50 for errors. */
  readonly level: number
  readonly time: string
  readonly msg: string
  /** How many events the line stands for; 1 when it is left out. */
  readonly count?: number
  readonly [field: string]: unknown
}

export class Child {
  readonly name: string
  readonly process: ChildProcess
  /** Exit code, or the signal's name. */
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

  /** Waits until `test` holds. Throws when the child ends before, or `seconds` pass. */
  async until(test: () => boolean, what: string, seconds = 10): Promise<void> {
    const end = performance.now() + seconds * 1000
    while (!test()) {
      if (!this.running) throw new Error(`${this.name} ended before ${what}: ${await this.ended}\n${this.stderr}`)
      if (performance.now() > end) throw new Error(`${this.name}: no ${what} after ${seconds} s\n${this.stderr}`)
      await sleep(20)
    }
  }

  /** What our program has logged so far on standard error: every line, or those of one event. */
  logged(event?: EventName): Logged[] {
    const mark = event === undefined ? '' : `"event":"${event}"`
    const lines = this.stderr.split('\n').slice(0, -1)
    return lines
      .filter(line => line.startsWith('{') && line.includes(mark))
      .map(line => JSON.parse(line) as Logged)
      .filter(logged => event === undefined || logged.event === event)
  }

  /** How often an event of our program has been logged: a line may stand for several. */
  times(event: EventName): number {
    return this.logged(event).reduce((sum, { count = 1 }) => sum + count, 0)
  }

  /** SIGTERM, SIGKILL after `grace` milliseconds; resolves when it is gone. */
  async stop(grace = 2000): Promise<void> {
    if (!this.running) return
    this.process.kill('SIGTERM')
    const killer = setTimeout(() => this.process.kill('SIGKILL'), grace)
    await this.ended
    clearTimeout(killer)
  }

  /** The JSON object in the last line of stdout, once the child has ended. */
  async json<T>(): Promise<T> {
    const code = await this.ended
    const line = this.stdout.trim().split('\n').at(-1) ?? ''
    if (code !== 0 || line === '') throw new Error(`${this.name} ended with ${code}\n${this.stderr}`)
    return JSON.parse(line) as T
  }

  /** User and system time so far, all threads, in seconds. Work that softirqs do elsewhere isn't in it. */
  cpuSeconds(): number {
    return processStat(`/proc/${this.pid}/stat`).cpuMs / 1000
  }

  /** Resident memory in MiB. */
  residentMiB(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'latin1')
    return Number(/VmRSS:\s+(\d+)/u.exec(status)?.[1] ?? 0) / 1024
  }

  /** Peak resident memory in MB. */
  peakMemory(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'latin1')
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1000
  }

  /** Text of a file below /proc/PID/net: that of the child's own network namespace. */
  net(file: string): string {
    try {
      return readFileSync(`/proc/${this.pid}/net/${file}`, 'latin1')
    } catch {
      return ''
    }
  }

  /** Whether its namespace has this interface. */
  hasInterface = (name: string): boolean => this.net('dev').includes(`${name}:`)

  /** Whether somebody in its namespace is bound to this UDP port (IPv4). */
  hasUdpPort = (port: number): boolean =>
    this.net('udp').includes(`:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000`)
}

/** Ends every child. */
export const stopAll = async (grace = 2000): Promise<void> => {
  await Promise.all([...live].map(child => child.stop(grace)))
}

/** Kills every child without waiting: for the last moment of this process. */
export const killAll = (): void => {
  for (const child of live) child.process.kill('SIGKILL')
}
