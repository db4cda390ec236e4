import { Lines } from '../log/lines.js'
import { writeToStandardError } from '../log/standard-error.js'

/** Writes lines on standard error. Never throws, and waits only a moment for whoever reads them. */
export const say = (text: string): void => {
  const lines = new Lines({ write: writeToStandardError, dropped: () => '' })
  lines.write(text)
  lines.finish()
}

/** Standard output cannot be written any more. A reader that has seen enough (`| head`) is no error. */
const outputFailed = ({ code }: NodeJS.ErrnoException): void => {
  if (code === 'EPIPE') process.exit()
  say(`fake-tcp: Standard output cannot be written (${code}): look at where it goes.\n`)
  process.exit(1)
}

let watching = false

/** Writes text on standard output. When that fails the program ends. */
export const print = (text: string): void => {
  if (!watching) process.stdout.on('error', outputFailed)
  watching = true
  process.stdout.write(text)
}
