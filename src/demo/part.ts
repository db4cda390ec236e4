import { FakeTcpError } from '../errors.js'
import { errnoName } from '../native.js'
import { explain } from '../terminal/explain.js'

/** `FakeTcpError.code` of a demo that could not run to its end. */
export const demoErrorCode = 'ERR_FAKE_TCP_DEMO'

/**
 * Returns the result of a call of the addon. Throws an error with `demoErrorCode` when it is -errno. `what`: its
 * subject.
 */
export const succeeded = (result: number, what: string): number => {
  if (result < 0) throw demoError(`${what} was refused by the kernel (${errnoName(result)}).`)
  return result
}

/** An error with `demoErrorCode`. `message`: one sentence for the user. */
export const demoError = (message: string, cause?: unknown): FakeTcpError =>
  new FakeTcpError(demoErrorCode, message, { cause })

/** Turns anything thrown into a FakeTcpError whose message is one line. */
export const asSentence = (error: unknown): FakeTcpError => {
  if (error instanceof FakeTcpError) return error
  const message = error instanceof Error ? error.message : String(error)
  return demoError(message.trim().replace(/\s+/g, ' '), error)
}

/**
 * Runs the body of one of the demo's processes with the job from the command line's only argument. After a failure the
 * process prints one sentence to standard error, and exits 1 or 2 as `explain` says.
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

/** Prints the result of the process as JSON, and exits 0. */
export const answer = (result: object): never => {
  console.log(JSON.stringify(result))
  process.exit(0)
}
