import { readFileSync } from 'node:fs'
import { ErrorCode, FakeTcpError } from '../errors.js'

/**
 * MiB of address space that V8 reserves for the machine code of a worker. With V8's default of 512, a stack of eight
 * queues would take more than 6 GiB of addresses.
 */
export const codeRangeMiB = 32
/**
 * MiB of address space that a worker takes while it starts: V8's reservations, stacks, malloc's arenas. Measured: 250
 * at the peak, 145 afterwards.
 */
const workerMiB = 300
const MiB = 1024 * 1024

/**
 * The number behind a name in a file of /proc/self, in that file's unit. Undefined when the name is missing, or the
 * value is 'unlimited'.
 */
const found = (file: string, pattern: RegExp): number | undefined => {
  const digits = pattern.exec(readFileSync(`/proc/self/${file}`, 'latin1'))?.[1]
  return digits === undefined ? undefined : Number(digits)
}

const inMiB = (bytes: number): number => Math.ceil(bytes / MiB)

/** The limit of this process's address space, and how much is in use, in bytes. Undefined without a limit. */
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
 * Throws MEMORY when the limit of the address space (`ulimit -v`) leaves too little for the workers. Call before they
 * start: V8 ends the process when it finds no addresses for a worker.
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

/** Answers what `allocate` makes. Throws MEMORY when there is not enough memory. */
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
