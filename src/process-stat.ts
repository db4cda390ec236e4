import { readFileSync } from 'node:fs'

/** Milliseconds per tick of the processor times in /proc: USER_HZ is 100 wherever Node.js runs. */
export const msPerTick = 10

/** What /proc tells about a process or a thread (proc_pid_stat(5)). */
export interface ProcessStat {
  /** 'R': running or runnable, 'S': asleep, 'T': stopped … */
  readonly state: string
  /** User and system time since its start in ms, in steps of 10 ms. */
  readonly cpuMs: number
  /** The same for its children that have ended and were waited for. */
  readonly childrenCpuMs: number
}

/**
 * `path`: /proc/PID/stat or /proc/PID/task/THREAD/stat. Throws the error of `readFileSync` when the process or thread
 * is gone.
 */
export const processStat = (path: string): ProcessStat => {
  const stat = readFileSync(path, 'latin1')
  // The program's name is in parentheses and may itself contain some, and spaces. So look for the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ms = (from: number): number => (Number(fields[from]) + Number(fields[from + 1])) * msPerTick
  return { state: fields[0], cpuMs: ms(11), childrenCpuMs: ms(13) }
}
