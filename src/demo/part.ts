import { FakeTcpError } from '../errors.js'
import { errnoName } from '../native.js'
import { explain } from '../terminal/explain.js'

/** The demo could not run to its end. */
export const demoErrorCode = 'ERR_FAKE_TCP_DEMO'

/** Throws DEMO when a call of the addon failed. */
export const succeeded = (result: number, what: string): number => {
  if (result < 0) throw demoError(`${what} was refused by the kernel (${errnoName(result)}).`)
  return result
}

export const demoError = (message: string, cause?: unknown): FakeTcpError =>
  new FakeTcpError(demoErrorCode, message, { cause })

/** Whatever went wrong, as an error with one sentence. */
export const asSentence = (error: unknown): FakeTcpError => {
  if (error instanceof FakeTcpError) return error
  const message = error instanceof Error ? error.message : String(error)
  return demoError(message.trim().replace(/\s+/g, ' '), error)
}

/**
 * The body of one of the demo's processes. Its job is the command line's only argument; a failure ends it with a
 * sentence and a code.
 */
export const runPart = async <Job>(body: (job: Job) => void | Promise<void>): Promise<void> => {
  const fail = (error: unknown): never => process.exit(explain(asSentence(error)))
  process.on('uncaughtException', fail)
  try {
    await body(JSON.parse(process.argv[2]) as Job)
  } catch (error) {
    fail(error)
  }
}

/** Prints the answer and ends the process. */
export const answer = (result: object): never => {
  console.log(JSON.stringify(result))
  process.exit(0)
}
