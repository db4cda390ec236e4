export type Level = 'debug' | 'info' | 'warn' | 'error'

/** What a log is told: a sentence that is the same each time, and what differs. */
export interface LogEvent {
  readonly level: Level
  readonly text: string
  /** `count`: how many events this one stands for; 1 when it is left out. */
  readonly fields: Readonly<Record<string, unknown>>
}

/** Where events go: a pino logger, or anything like it. */
export type EventLog = Record<Level, (fields: Readonly<Record<string, unknown>>, text: string) => void>
