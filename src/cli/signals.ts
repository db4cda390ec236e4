import { closeSync } from 'node:fs'
import { isatty } from 'node:tty'

/** What the program does when signals come. */
export interface Reactions {
  /** The first signal that ends the program: it closes everything in order. */
  stop(signal: NodeJS.Signals): void
  /** A second SIGINT or SIGTERM, while the program stops: it ends at once. */
  leave(): void
  /** SIGHUP without a terminal. */
  reload(): void
}

/**
 * A second signal within this many milliseconds is a copy of the first and ignored: a terminal signals the whole
 * process group, and npm, which is in that group, passes the signal on once more.
 */
const copyMs = 100

/** Until `reactBy` sets others: nothing has been opened yet, so the process may simply exit. */
let reactions: Reactions = { stop: () => process.exit(0), leave: () => process.exit(0), reload: () => {} }

/**
 * Handles SIGTERM, SIGINT and SIGHUP from now on. When standard input or standard error is a terminal, SIGHUP means
 * that the terminal has ended, and the program ends too. Otherwise (services, nohup) it means to reload. The program
 * cannot know whether its parent had SIGHUP ignored, since Node.js resets that at its start.
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
 * Prevents an abort at exit when a terminal is gone. Node.js restores the settings of its terminals then, and aborts if
 * that fails, but it leaves closed descriptors alone. So this closes the descriptors of terminals that are gone.
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

/** Replaces reactions; those that are left out stay. */
export const reactBy = (next: Partial<Reactions>): void => {
  reactions = { ...reactions, ...next }
}
