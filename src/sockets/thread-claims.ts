import { ErrorCode, FakeTcpError } from '../errors.js'
import type { SharedStack } from '../memory/shared-stack.js'

/** Claims a free thread number for this thread, and returns it. Throws CONSUMERS_EXHAUSTED. */
export const claimThread = ({ claims, device, bellFds }: SharedStack): number => {
  const words = new Int32Array(claims)
  for (let i = 0; i < words.length; i++) {
    if (Atomics.compareExchange(words, i, 0, 1) === 0) return device.queues.length + 1 + i
  }
  throw new FakeTcpError(
    ErrorCode.CONSUMERS_EXHAUSTED,
    `Sockets of this stack are attached in ${bellFds.length - device.queues.length - 1} other threads already: open it with a larger \`consumers\`.`,
  )
}

/** Gives a thread number back: from now on another thread may claim it. */
export const giveBackThread = ({ claims, device }: SharedStack, thread: number): void => {
  Atomics.store(new Int32Array(claims), thread - device.queues.length - 1, 0)
}
