/** Levels of the log, from everything to nothing. */
export const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof levels)[number]
export const defaultLevel: LogLevel = 'info'
