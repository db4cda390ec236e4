import { ErrorCode, FakeTcpError } from '../errors.js'

/** Prints one sentence for an error and answers the exit code: 2 for what the user typed, 1 for everything else. Unexpected errors keep their stack. */
export const explain = (error: unknown): number => {
  if (!(error instanceof FakeTcpError)) {
    console.error(error)
    return 1
  }
  console.error(`fake-tcp: ${error.message}`)
  return error.code === ErrorCode.INVALID_ARGUMENT ? 2 : 1
}
