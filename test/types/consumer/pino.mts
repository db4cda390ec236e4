/** Where pino is installed, its logger is one for a stack as it is. */
import type { StackOptions } from 'fake-tcp'
import { type Logger, pino } from 'pino'

export const withPino = (logger: Logger = pino()): Pick<StackOptions, 'logger'> => ({ logger })
