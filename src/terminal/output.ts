import { Lines } from '../log/lines.js'
import { writeToStandardError } from '../log/standard-error.js'

/** Writes lines to standard error. Never throws, and waits only a moment for a slow reader. */
export const say = (text: string): void => {
  const lines = new Lines({ write: writeToStandardError, dropped: () => '' })
  lines.write(text)
  lines.finish()
}

/** Ends the program after a failed write to standard output. A reader that has ended (`| head`) is no error. */
const outputFailed = ({ code }: NodeJS.ErrnoException): void => {
  if (code === 'EPIPE') process.exit()
  say(`fake-tcp: Standard output cannot be written (${code}): look at where it goes.\n`)
  process.exit(1)
}

let watching = false

/** Writes text to standard output. Ends the program when that fails. */
export const print = (text: string): void => {
  if (!watching) process.stdout.on('error', outputFailed)
  watching = true
  process.stdout.write(text)
}
