import { randomInt, randomUUID } from 'node:crypto'
import { ErrorCode, FakeTcpError } from '../errors.js'
import { counterPageBytes } from '../memory/counters.js'
import { Doorbell } from '../memory/doorbell.js'
import { FlowTable } from '../memory/flow-table.js'
import { listeningPorts, type SharedStack, StackMemory, Switch } from '../memory/shared-stack.js'
import { TupleIndex } from '../memory/tuple-index.js'
import { Errno, native } from '../native.js'
import type { Address } from '../net/address.js'
import type { Device } from '../net/device.js'
import type { ResolvedOptions } from './options.js'

/** A random word that nobody can guess. */
const secretWord = (): number => randomInt(0, 2 ** 32) | 0

/**
 * Allocates the shared memory and the doorbells of a stack. Throws DEVICE when the kernel refuses a descriptor,
 * RangeError when there is not enough memory.
 */
export const allocateStack = (
  device: Device,
  address4: Address | undefined,
  address6: Address | undefined,
  options: ResolvedOptions,
): SharedStack => {
  const { consumers, maxConnections, ringBytes: laneCapacity, workers } = options
  const threads = device.queues.length + 1 + consumers
  const flows = FlowTable.allocate(maxConnections)
  const index = TupleIndex.allocate(flows, secretWord())
  return {
    flows: flows.shared,
    index: index.shared,
    listening: new SharedArrayBuffer(listeningPorts.bytes),
    counters: new SharedArrayBuffer(threads * counterPageBytes),
    lanes: new SharedArrayBuffer(StackMemory.laneBytes(device.queues.length, threads, laneCapacity)),
    laneCapacity,
    bells: new SharedArrayBuffer(threads * Doorbell.bytes),
    bellFds: openEvents(threads),
    beats: new SharedArrayBuffer(device.queues.length * 4),
    switches: new SharedArrayBuffer(Switch.words * 4),
    claims: new SharedArrayBuffer(consumers * 4),
    channel: `fake-tcp ${randomUUID()}`,
    device: { queues: device.queues, virtioSize: device.virtioSize, mtu: device.mtu },
    options: workers,
    address4: Int32Array.from(address4?.words ?? [0, 0, 0, 0]),
    address6: Int32Array.from(address6?.words ?? [0, 0, 0, 0]),
    has4: address4 !== undefined,
    has6: address6 !== undefined,
    cookieKey: Int32Array.of(secretWord(), secretWord()),
  }
}

const openEvents = (count: number): number[] => {
  const fds: number[] = []
  while (fds.length < count) {
    const fd = native.eventOpen()
    if (fd >= 0) {
      fds.push(fd)
      continue
    }
    for (const open of fds) native.close(open)
    const full = fd === -Errno.EMFILE || fd === -Errno.ENFILE
    throw new FakeTcpError(
      ErrorCode.DEVICE,
      full ? 'No file descriptor is left: raise the limit (ulimit -n).' : 'The kernel refused an eventfd.',
    )
  }
  return fds
}
