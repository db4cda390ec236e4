import { closeSync } from 'node:fs'
import { isatty } from 'node:tty'

/** What signals lead to. */
export interface Reactions {
  /** The program is to end, in good order. */
  stop(signal: NodeJS.Signals): void
  /** The program is to end at once. */
  leave(): void
  reload(): void
}

/**
 * A second signal within this time is a copy of the first: a terminal signals whole groups, and npm passes on what it
 * gets.
 */
const copyMs = 100

/** At first nothing is open that would have to be closed. */
let reactions: Reactions = { stop: () => process.exit(0), leave: () => process.exit(0), reload: () => {} }

/**
 * Takes SIGTERM, SIGINT and SIGHUP from now on. SIGHUP with a terminal as standard input or standard error is the end
 * of that terminal, and so of the program. Anywhere else (services, nohup) it means to reload. Whether it was to be
 * ignored cannot be known: Node.js resets that.
 */
export const takeSignals = (): void => {
  const hasTerminal = isatty(0) || isatty(2)
  let stoppedAt: number | undefined
  const stop = (signal: NodeJS.Signals): void => {
    if (stoppedAt === undefined) {
      stoppedAt = performance.now()
      reactions.stop(signal)
    } else if (signal !== 'SIGHUP' && performance.now() - stoppedAt > copyMs) {
      reactions.leave()
    }
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  process.on('SIGHUP', signal => (hasTerminal ? stop(signal) : reactions.reload()))
}

/**
 * At its exit Node.js restores the settings of its terminals, and aborts when one of them is gone. A descriptor that is
 * closed it leaves alone.
 */
export const outliveTerminals = (): void => {
  const terminals = [0, 1, 2].filter(isatty)
  process.on('exit', () => {
    for (const fd of terminals) {
      try {
        if (!isatty(fd)) closeSync(fd)
      } catch {}
    }
  })
}

/** Other reactions from now on; those that are left out stay. */
export const reactBy = (next: Partial<Reactions>): void => {
  reactions = { ...reactions, ...next }
}
