import { readFileSync } from 'node:fs'

/** The kernel counts processor time in ticks of this length for programs, always. */
export const msPerTick = 10

/** What proc_pid_stat(5) says of a process or a thread. */
export interface ProcessStat {
  /** 'R' runs or wants to, 'S' sleeps, 'T' is stopped … */
  readonly state: string
  /** User and system time so far in ms, to 10 ms. */
  readonly cpuMs: number
  /** The same of its children that have ended. */
  readonly childrenCpuMs: number
}

/** `path`: /proc/PID/stat or /proc/PID/task/THREAD/stat. Throws what `readFileSync` throws when it is gone. */
export const processStat = (path: string): ProcessStat => {
  const stat = readFileSync(path, 'latin1')
  // The program's name, in parentheses, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ms = (from: number): number => (Number(fields[from]) + Number(fields[from + 1])) * msPerTick
  return { state: fields[0], cpuMs: ms(11), childrenCpuMs: ms(13) }
}
