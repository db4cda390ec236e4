/** Log levels, from the one that logs most to the one that logs nothing. */
export const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof levels)[number]
export const defaultLevel: LogLevel = 'info'
