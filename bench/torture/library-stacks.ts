import { createVirtualLink, Stack, type StackOptions } from '../../src/index.js'
import type { Verdict } from './scenario.js'

export const addressOfB = '192.168.201.2'

/** Two stacks on a virtual link in this process, for as long as `use` takes. */
export const withStacks = async (
  options: StackOptions,
  use: (a: Stack, b: Stack) => Promise<Verdict>,
  queues = 2,
): Promise<Verdict> => {
  const [linkA, linkB] = createVirtualLink({ queues })
  const [a, b] = await Promise.all([
    Stack.open({ ...options, device: linkA }),
    Stack.open({ ...options, device: linkB }),
  ])
  try {
    return await use(a, b)
  } finally {
    await Promise.all([a.close(), b.close()])
  }
}
