import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { msPerTick, processStat } from '../src/process-stat.js'

/** How long one look at the machine takes, in milliseconds. */
const SAMPLE = 300
const PAUSE = 1000

/** CPU time in clock ticks since boot, over all CPUs (proc_stat(5)). */
interface Ticks {
  all: number
  idle: number
  /** Of processes: without interrupts, which belong to nobody. */
  processes: number
  /** Of this process and of its children that have ended. */
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

/** Share of all CPUs that somebody uses right now, in percent. Takes `SAMPLE` ms. */
const busyPercent = async (): Promise<number> => {
  const before = ticks()
  await sleep(SAMPLE)
  const after = ticks()
  return 100 * (1 - (after.idle - before.idle) / Math.max(1, after.all - before.all))
}

/** Waits, at most `seconds`, until less than `percent` of the machine is in use. */
export const quiet = async (percent: number, seconds: number): Promise<void> => {
  const end = performance.now() + seconds * 1000
  while (performance.now() < end && (await busyPercent()) >= percent) await sleep(PAUSE)
}

/** From now on, counts what others use: call the answer when all our children have ended. Percent of all CPUs. */
export const watchOthers = (): (() => number) => {
  const before = ticks()
  return () => {
    const after = ticks()
    const theirs = after.processes - before.processes - (after.ours - before.ours)
    return (100 * Math.max(0, theirs)) / Math.max(1, after.all - before.all)
  }
}
