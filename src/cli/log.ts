import { type Logger, pino } from 'pino'
import pretty from 'pino-pretty'

export const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

/** A logger on standard error: readable on a terminal, JSON lines otherwise. Synchronous, so that nothing is lost at exit. */
export const openLog = (level: string): Logger => {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime }
  if (!process.stderr.isTTY) return pino(options, pino.destination({ fd: 2, sync: true }))
  return pino(options, pretty({ destination: 2, sync: true, colorize: true, translateTime: 'SYS:HH:MM:ss.l' }))
}
