import type { Test } from 'tap'
import {
  createVirtualLink,
  type Listener,
  type Socket,
  Stack,
  type StackOptions,
  type VirtualLinkOptions,
} from '../../src/index.js'

export type Family = 4 | 6

/** Addresses of the two ends of a virtual link. */
export const addresses = {
  a: { 4: '192.168.200.2', 6: 'fcc8::2' },
  b: { 4: '192.168.201.2', 6: 'fcc9::2' },
} as const

/** Every shape of link on which results must be the same. */
export const links: readonly Required<Pick<VirtualLinkOptions, 'queues' | 'offload'>>[] = [
  { queues: 1, offload: true },
  { queues: 1, offload: false },
  { queues: 2, offload: true },
  { queues: 2, offload: false },
]
export const linkName = (link: VirtualLinkOptions): string =>
  `${link.queues ?? 1} queue(s), ${link.offload === false ? 'no offload' : 'offload'}`

export interface Stacks {
  readonly a: Stack
  readonly b: Stack
}

/** Two stacks on one link, closed when the test ends. */
export const openStacks = async (
  t: Test,
  link: VirtualLinkOptions = {},
  options: { a?: StackOptions; b?: StackOptions } = {},
): Promise<Stacks> => {
  const [deviceA, deviceB] = createVirtualLink(link)
  const [a, b] = await Promise.all([
    Stack.open({ ...options.a, device: deviceA }),
    Stack.open({ ...options.b, device: deviceB }),
  ])
  t.teardown(() => Promise.all([a.close(), b.close()]))
  return { a, b }
}

export interface Pair {
  readonly client: Socket
  readonly server: Socket
  readonly listener: Listener
}

/** A connection from stack `a` to a port of stack `b`. */
export const connectPair = async (
  { a, b }: Stacks,
  port = 4567,
  family: Family = 4,
  listener = b.listen(port),
): Promise<Pair> => {
  const [client, server] = await Promise.all([a.connect(addresses.b[family], port), listener.accept()])
  return { client, server, listener }
}

/** The next `count` datagrams; fails when they do not come in time. */
export const take = async (socket: Socket, count: number, patience = 20_000): Promise<Uint8Array[]> => {
  const taken: Uint8Array[] = []
  const signal = AbortSignal.timeout(patience)
  while (taken.length < count) {
    const datagram = await socket.recv({ signal }).catch((error: Error) => {
      throw new Error(`${taken.length} of ${count} datagrams came`, { cause: error })
    })
    if (datagram === undefined) throw new Error(`closed after ${taken.length} of ${count} datagrams`)
    taken.push(datagram)
  }
  return taken
}

/** Everything up to the end of the connection. */
export const takeAll = async (socket: Socket): Promise<Uint8Array[]> => {
  const taken: Uint8Array[] = []
  for await (const datagram of socket) taken.push(datagram)
  return taken
}

/** The drop counters of a stack and its services that are not zero: `{ writeFull: 3 }`. */
export const drops = (stack: Stack): Record<string, number> => {
  const { drops, services } = stack.stats().total
  return Object.fromEntries(Object.entries({ ...drops, ...services.drops }).filter(([, count]) => count !== 0))
}

/** The same without what a last ACK causes that crosses a close: how often that happens is a matter of time. */
export const lost = (stack: Stack): Record<string, number> => {
  const { unknownTuple, strayReset, ...others } = drops(stack)
  return others
}
