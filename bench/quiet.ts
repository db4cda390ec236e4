import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

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
  const stat = readFileSync('/proc/self/stat', 'latin1')
  const own = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return {
    all: user + nice + system + idle + wait + irq + softirq + steal,
    idle: idle + wait,
    processes: user + nice + system + steal,
    ours: own.slice(11, 15).reduce((sum, field) => sum + Number(field), 0),
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
