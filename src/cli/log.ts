import { isatty } from 'node:tty'
import { getSystemErrorName } from 'node:util'
import { pino } from 'pino'
import type { EventFields, EventLog, Level } from '../log/events.js'
import { Lines } from '../log/lines.js'
import { Repeats } from '../log/repeats.js'
import { prepareStandardError, writeToStandardError } from '../log/standard-error.js'
import { inFlags } from './in-flags.js'
import type { LogLevel } from './levels.js'

/** Loads the function that formats a JSON line for a terminal. */
const loadPrettifier = async (): Promise<(line: string) => string> => {
  const { prettyFactory } = await import('pino-pretty')
  const prettify = prettyFactory({ colorize: true, translateTime: 'SYS:HH:MM:ss.l' })
  return line => prettify(line) ?? ''
}

export interface ProgramLog extends EventLog {
  /** Writes the repeated events that still wait for their count, so that later lines stand behind them. */
  settle(): void
}

/**
 * Opens the log on standard error: readable text on a terminal, JSON lines otherwise. It never waits for its reader. It
 * merges repeated events into one with a count. It writes what it still has when the process exits.
 */
export const openLog = async (level: LogLevel): Promise<ProgramLog> => {
  prepareStandardError()
  const format = isatty(2) ? await loadPrettifier() : (line: string) => line
  const lines: Lines = new Lines({
    write: writeToStandardError,
    dropped: (count, errno) => {
      if (!logger.isLevelEnabled('warn')) return ''
      const reason = getSystemErrorName(-errno)
      const msg = 'the log could not be written for a while, lines were dropped'
      const fields: EventFields = { event: 'lines-dropped', lines: count, reason }
      return format(`${JSON.stringify({ level: 40, time: new Date().toISOString(), ...fields, msg })}\n`)
    },
  })
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime }
  const logger = pino(options, { write: line => lines.write(format(line)) })
  const repeats = new Repeats(({ level, fields, text }) => logger[level](fields, text))
  const at =
    (level: Level): EventLog[Level] =>
    (fields, text) => {
      if (logger.isLevelEnabled(level)) repeats.add({ level, text: inFlags(text), fields })
    }
  process.on('exit', () => {
    repeats.flush()
    lines.finish()
  })
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), settle: () => repeats.flush() }
}
