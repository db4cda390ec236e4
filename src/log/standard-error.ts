import { constants, fstatSync, openSync, writeSync } from 'node:fs'
import { constants as os } from 'node:os'
import { isatty } from 'node:tty'
import { addonFault, native } from '../native.js'

const standardError = 2

/**
 * A descriptor of our own for the same pipe or terminal, with O_NONBLOCK. Setting that on the one we were given would
 * set it for the shell and everybody else who has it. Without it a pipe that two programs write to, and a terminal that
 * is nearly full, may keep us waiting though they had room a moment ago. Where it cannot be had (no /proc, somebody
 * else's terminal) the given one must do.
 */
const ownDescriptor = (fd: number): number => {
  try {
    if (!isatty(fd) && !fstatSync(fd).isFIFO()) return fd
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    return fd
  }
}

let opened: number | undefined

/** Call while this process may still open its own terminal or pipe: `--user` takes that away. */
export const prepareStandardError = (): number => {
  opened ??= ownDescriptor(standardError)
  return opened
}

/** Writes what there is room for, and waits for nobody: bytes, or -errno. */
export const writeToStandardError = (bytes: Uint8Array): number => {
  const own = prepareStandardError()
  if (addonFault === undefined) return native.writeNow(own, bytes, 0, bytes.length)
  try {
    return writeSync(own, bytes)
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno ?? -os.errno.EIO
  }
}
