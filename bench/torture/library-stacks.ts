import { createVirtualLink, Stack, type StackOptions } from '../../src/index.js'

export const addressOfB = '192.168.201.2'

/** Two stacks on a virtual link in this process, for as long as `use` takes. */
export const withStacks = async <T>(options: StackOptions, use: (a: Stack, b: Stack) => Promise<T>): Promise<T> => {
  const [linkA, linkB] = createVirtualLink({ queues: 2 })
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
