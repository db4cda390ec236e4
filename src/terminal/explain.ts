import { inspect } from 'node:util'
import { ErrorCode, FakeTcpError } from '../errors.js'
import type { Reword } from './flag-names.js'
import { say } from './output.js'

/**
 * Says one sentence for an error, reworded for who reads it, and answers the exit code: 2 for what the user typed, 1
 * for everything else. Unexpected errors keep their stack.
 */
export const explain = (error: unknown, reword: Reword = sentence => sentence): number => {
  if (!(error instanceof FakeTcpError)) {
    say(`${inspect(error)}\n`)
    return 1
  }
  say(`fake-tcp: ${reword(error.message)}\n`)
  return error.code === ErrorCode.INVALID_ARGUMENT ? 2 : 1
}
