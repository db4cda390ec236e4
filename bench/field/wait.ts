import { setTimeout as sleep } from 'node:timers/promises'

/** Waits for something that is a moment away, such as a line of a log. Answers whether it came. */
export const until = async (test: () => boolean, patienceMs = 5_000): Promise<boolean> => {
  for (const end = performance.now() + patienceMs; !test(); await sleep(10)) {
    if (performance.now() > end) return false
  }
  return true
}
