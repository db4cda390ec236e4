import { readFileSync } from 'node:fs'
import { ErrorCode, FakeTcpError } from '../errors.js'

/**
 * MiB of addresses that V8 reserves for the machine code of a worker. Its own default, 512, would make eight queues
 * larger than 6 GiB.
 */
export const codeRangeMiB = 32
/**
 * MiB of addresses that a worker takes while it starts: V8's reservations, stacks, malloc's arenas. (Measured: 145 in
 * the end, 250 on the way.)
 */
const workerMiB = 300
const MiB = 1024 * 1024

/** A number of KiB or bytes behind a name in a file of /proc/self; undefined when it is not there, or 'unlimited'. */
const found = (file: string, pattern: RegExp): number | undefined => {
  const digits = pattern.exec(readFileSync(`/proc/self/${file}`, 'latin1'))?.[1]
  return digits === undefined ? undefined : Number(digits)
}

const inMiB = (bytes: number): number => Math.ceil(bytes / MiB)

/** Bytes of addresses that this process may have and has; undefined without a limit. */
const addressSpace = (): { limit: number; used: number } | undefined => {
  const limit = found('limits', /^Max address space\s+(\d+)/mu)
  const used = found('status', /^VmSize:\s+(\d+)/mu)
  return limit === undefined || used === undefined ? undefined : { limit, used: used * 1024 }
}

const tooSmall = (what: string): FakeTcpError =>
  new FakeTcpError(
    ErrorCode.MEMORY,
    `${what}: raise the limit, or take fewer \`tun.queues\`, a smaller \`maxConnections\` or \`ringBytes\`.`,
  )

/**
 * Where the addresses of this process are limited (`ulimit -v`), V8 ends it when it finds none for a worker: so that is
 * asked before. Throws MEMORY.
 */
export const checkAddressSpace = (workers: number): void => {
  const space = addressSpace()
  if (space === undefined) return
  const { limit, used } = space
  const needed = used + workers * workerMiB * MiB
  if (needed <= limit) return
  throw tooSmall(
    `The process may have ${inMiB(limit)} MiB of addresses (ulimit -v), and ${workers} queue worker(s) need ${inMiB(needed)} MiB`,
  )
}

/** What `allocate` makes. Throws MEMORY where there is no memory for it. */
export const orTooSmall = <T>(allocate: () => T): T => {
  try {
    return allocate()
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const space = addressSpace()
    const where =
      space === undefined
        ? ''
        : ` (${inMiB(space.used)} of the ${inMiB(space.limit)} MiB of addresses are in use that this process may have, ulimit -v)`
    throw tooSmall(`There is not enough memory for the shared memory of the stack${where}`)
  }
}
