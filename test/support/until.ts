import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves when `holds` does; fails naming `what` after `patience` milliseconds. */
export const until = async (holds: () => boolean, what: string, patience = 20_000): Promise<void> => {
  const end = performance.now() + patience
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within ${patience} ms: ${what}`)
    await sleep(2)
  }
}
