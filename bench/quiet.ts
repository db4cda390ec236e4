import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { msPerTick, processStat } from '../src/process-stat.js'

/** Milliseconds of one look at the machine. */
const SAMPLE = 300
const PAUSE = 1000

/** CPU time in clock ticks since boot, over all CPUs (proc_stat(5)). */
interface Ticks {
  all: number
  idle: number
  /** Ticks of processes. Interrupts are left out, since they belong to nobody. */
  processes: number
  /** Ticks of this process and of its children that have ended. */
  ours: number
}

const ticks = (): Ticks => {
  const line = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0]
  const [user, nice, system, idle, wait, irq, softirq, steal] = line.split(/\s+/).slice(1, 9).map(Number)
  const { cpuMs, childrenCpuMs } = processStat('/proc/self/stat')
  return {
    all: user + nice + system + idle + wait + irq + softirq + steal,
    idle: idle + wait,
    processes: user + nice + system + steal,
    ours: (cpuMs + childrenCpuMs) / msPerTick,
  }
}

/** The share of all CPUs that is in use right now, in percent. Takes `SAMPLE` ms. */
const busyPercent = async (): Promise<number> => {
  const before = ticks()
  await sleep(SAMPLE)
  const after = ticks()
  return 100 * (1 - (after.idle - before.idle) / Math.max(1, after.all - before.all))
}

/** Waits until less than `percent` of the machine is in use, at most `seconds`. */
export const quiet = async (percent: number, seconds: number): Promise<void> => {
  const end = performance.now() + seconds * 1000
  while (performance.now() < end && (await busyPercent()) >= percent) await sleep(PAUSE)
}

/**
 * Begins to count what others use. The answer is to be called when all our children have ended, and answers percent of
 * all CPUs.
 */
export const watchOthers = (): (() => number) => {
  const before = ticks()
  return () => {
    const after = ticks()
    const theirs = after.processes - before.processes - (after.ours - before.ours)
    return (100 * Math.max(0, theirs)) / Math.max(1, after.all - before.all)
  }
}
