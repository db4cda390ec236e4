import { constants, fstatSync, openSync, writeSync } from 'node:fs'
import { constants as os } from 'node:os'
import { isatty } from 'node:tty'
import { addonFault, native } from '../native.js'

const standardError = 2

/**
 * Opens the same pipe or terminal once more, with O_NONBLOCK, so that a write never blocks. Setting O_NONBLOCK on the
 * given descriptor would set it for every program that shares it, the shell too. Without O_NONBLOCK a write may block
 * even after poll has reported room: when another program writes to the same pipe, or a terminal is nearly full. Where
 * opening fails (no /proc, the terminal of another user) returns the given descriptor.
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

/**
 * Opens the descriptor that `writeToStandardError` uses, and returns it. Call before the process changes its user,
 * since it may no longer open its own terminal or pipe then.
 */
export const prepareStandardError = (): number => {
  opened ??= ownDescriptor(standardError)
  return opened
}

/** Writes as much as there is room for, without waiting. Returns bytes, or -errno. */
export const writeToStandardError = (bytes: Uint8Array): number => {
  const own = prepareStandardError()
  if (addonFault === undefined) return native.writeNow(own, bytes, 0, bytes.length)
  try {
    return writeSync(own, bytes)
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno ?? -os.errno.EIO
  }
}
