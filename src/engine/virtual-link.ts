import { ErrorCode, FakeTcpError } from '../errors.js'
import { errnoName, native } from '../native.js'
import { parseAddress } from '../net/address.js'
import { closer, type Device, virtioSize } from '../net/device.js'
import { unused, used } from '../net/features.js'
import { type Given, resolveNumbers } from '../numbers.js'
import { virtualLinkNumbers } from './options.js'

export interface VirtualLinkOptions extends Given<typeof virtualLinkNumbers> {
  /** Use super-packets. Default true. */
  offload?: boolean
}

/**
 * Makes two devices that are connected to each other. They need no privileges and no kernel interface. `a` has the
 * addresses 192.168.200.2 and fcc8::2, `b` 192.168.201.2 and fcc9::2, unless `Stack.open` is told otherwise. Throws
 * INVALID_ARGUMENT or DEVICE.
 */
export const createVirtualLink = (options: VirtualLinkOptions = {}): [a: Device, b: Device] => {
  const { queues, mtu } = resolveNumbers(virtualLinkNumbers, options)
  const ends: [number[], number[]] = [[], []]
  const pair = new Int32Array(2)
  for (let i = 0; i < queues; i++) {
    const result = native.pairOpen(pair)
    if (result < 0) {
      for (const end of ends) closer(end)()
      throw new FakeTcpError(ErrorCode.DEVICE, `The kernel refused to open a socket pair (${errnoName(result)}).`)
    }
    ends[0].push(pair[0])
    ends[1].push(pair[1])
  }
  const superPackets = options.offload === false ? unused('offload is off') : used
  const device = (end: number[], name: string, address: string, address6: string): Device => ({
    name,
    queues: [...end],
    virtioSize: options.offload === false ? 0 : virtioSize,
    mtu,
    steered: false,
    features: {
      queues: used,
      superPacketsOut: superPackets,
      superPacketsIn: superPackets,
      steering: unused('a virtual link has no kernel'),
      ipv6: used,
    },
    stackAddress: parseAddress(address, 'stackAddress'),
    stackAddress6: parseAddress(address6, 'stackAddress6'),
    close: closer(end),
  })
  return [
    device(ends[0], 'virtual-a', '192.168.200.2', 'fcc8::2'),
    device(ends[1], 'virtual-b', '192.168.201.2', 'fcc9::2'),
  ]
}
