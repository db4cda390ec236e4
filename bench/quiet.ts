import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** How long one look at the machine takes, in milliseconds. */
const SAMPLE = 300
const PAUSE = 1000

const jiffies = (): { all: number; idle: number } => {
  const line = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0]
  const fields = line.split(/\s+/).slice(1, 9).map(Number)
  return { all: fields.reduce((sum, field) => sum + field, 0), idle: fields[3] + fields[4] }
}

/** Share of all CPUs that somebody uses right now, in percent. Takes `SAMPLE` ms. */
export const busyPercent = async (): Promise<number> => {
  const before = jiffies()
  await sleep(SAMPLE)
  const after = jiffies()
  return 100 * (1 - (after.idle - before.idle) / Math.max(1, after.all - before.all))
}

/** Waits, at most `seconds`, until less than `percent` of the machine is in use. What it was at the end, in percent. */
export const quiet = async (percent: number, seconds: number): Promise<number> => {
  const end = performance.now() + seconds * 1000
  for (;;) {
    const busy = await busyPercent()
    if (busy < percent || performance.now() >= end) return busy
    await sleep(PAUSE)
  }
}
