import { inspect } from 'node:util'
import { ErrorCode, FakeTcpError } from '../errors.js'
import type { Reword } from './flag-names.js'
import { say } from './output.js'

/**
 * Writes an error to standard error and returns the exit code: 2 for an invalid argument, 1 for everything else. A
 * FakeTcpError is one sentence, passed through `reword`; any other error is printed with its stack.
 */
export const explain = (error: unknown, reword: Reword = sentence => sentence): number => {
  if (!(error instanceof FakeTcpError)) {
    say(`${inspect(error)}\n`)
    return 1
  }
  say(`fake-tcp: ${reword(error.message)}\n`)
  return error.code === ErrorCode.INVALID_ARGUMENT ? 2 : 1
}
