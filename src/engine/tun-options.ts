import { availableParallelism } from 'node:os'
import { invalid } from '../errors.js'
import { type Address, parseAddress } from '../net/address.js'
import { minMtu } from '../net/device.js'
import type { AddressPair } from '../net/pair.js'
import { type Given, type Resolved, resolveNumbers, whole } from '../numbers.js'

/** Numeric options of a TUN interface. */
export const tunNumbers = {
  /** TUN queues, one worker each. Default: the machine's cores, at most 8. */
  queues: { default: Math.min(availableParallelism(), 8), min: 1, max: 256 },
  /** Bytes of the largest IP packet; at least 1,280 with IPv6. */
  mtu: { default: 1_500, min: minMtu[4], max: 65_535 },
  /** Maximum of packets that wait in the kernel for a slow worker. */
  txQueueLength: { default: 1_000, min: 1, max: 1_000_000 },
} as const

/** How to make a TUN interface. Addresses come in pairs: the kernel's end (`host…`) and ours (`stack…`). */
export interface TunOptions extends Given<typeof tunNumbers> {
  /** Interface name, 1 to 15 bytes. Default: the kernel chooses. */
  name?: string
  /** The kernel's end and ours, IPv4. */
  hostAddress?: string
  stackAddress?: string
  /** The kernel's end and ours, IPv6. */
  hostAddress6?: string
  stackAddress6?: string
  /**
   * What to do when an IPv4 address is in use on this machine already. 'error' (default): reject with ADDRESS_TAKEN.
   * 'others': take the next free pair like this one (192.168.202.1 and .2 for 192.168.200.1 and .2, and so on), and log
   * a warning that names it.
   */
  ifAddressesTaken?: 'error' | 'others'
  /** The same for the IPv6 addresses (fcca::1 and ::2 for fcc8::1 and ::2). */
  ifAddressesTaken6?: 'error' | 'others'
  /**
   * What to do when IPv6 addresses are given, and the machine has IPv6 switched off. 'error' (default): reject with
   * NO_IPV6. 'ipv4': use IPv4 alone, and log a warning.
   */
  ifNoIPv6?: 'error' | 'ipv4'
  /** Use super-packets and checksum offload. Default true. Where the kernel refuses them, the stack works without. */
  offload?: boolean
  /**
   * Descriptors of the queues of an interface that another program has made, brought up and addressed. The stack takes
   * them over, and closes them at the end, instead of making an interface. They must be attached with IFF_TUN and
   * IFF_NO_PI, and with IFF_VNET_HDR for super-packets. Of the other options only `mtu`, `stackAddress` and
   * `stackAddress6` apply. Needs no privileges.
   */
  descriptors?: readonly number[]
}

/** `TunOptions`, checked and complete. */
export interface ResolvedTun extends Resolved<typeof tunNumbers> {
  /** Empty: the kernel chooses. */
  readonly name: string
  readonly offload: boolean
  readonly ifAddressesTaken: 'error' | 'others'
  readonly ifAddressesTaken6: 'error' | 'others'
  readonly ifNoIPv6: 'error' | 'ipv4'
  /** Addresses to assign to the interface, at most one pair of each family; none for an adopted one. */
  readonly pairs: readonly AddressPair[]
  /** The queues of an adopted interface; undefined: make one. */
  readonly adopted: AdoptedTun | undefined
}

export interface AdoptedTun {
  readonly descriptors: readonly number[]
  /** Our addresses; at least one of them. */
  readonly stackAddress: Address | undefined
  readonly stackAddress6: Address | undefined
}

/** Throws INVALID_ARGUMENT. */
export const resolveTun = (options: TunOptions): ResolvedTun => {
  const { name = '', offload = true, descriptors } = options
  const { ifAddressesTaken = 'error', ifAddressesTaken6 = 'error', ifNoIPv6 = 'error' } = options
  const adopted = descriptors === undefined ? undefined : adoptedOf(options, descriptors)
  const pairs = adopted === undefined ? pairsOf(options) : []
  const six = adopted?.stackAddress6 !== undefined || pairs.some(({ host }) => host.family === 6)
  const table = six ? { ...tunNumbers, mtu: { ...tunNumbers.mtu, min: minMtu[6] } } : tunNumbers
  const numbers = resolveNumbers(table, options, 'tun.')
  return { ...numbers, name, offload, ifAddressesTaken, ifAddressesTaken6, ifNoIPv6, pairs, adopted }
}

const adoptedOf = ({ stackAddress, stackAddress6 }: TunOptions, descriptors: readonly number[]): AdoptedTun => {
  if (stackAddress === undefined && stackAddress6 === undefined) {
    throw invalid('An adopted TUN device needs `tun.stackAddress` or `tun.stackAddress6`.')
  }
  whole('The number of `tun.descriptors`', descriptors.length, tunNumbers.queues)
  for (const fd of descriptors) whole('Each of `tun.descriptors`', fd, { min: 0, max: 2 ** 31 - 1 })
  return {
    descriptors,
    stackAddress: stackAddress === undefined ? undefined : parseAddress(stackAddress, '`tun.stackAddress`', 4),
    stackAddress6: stackAddress6 === undefined ? undefined : parseAddress(stackAddress6, '`tun.stackAddress6`', 6),
  }
}

const pairsOf = (options: TunOptions): AddressPair[] => {
  const pairs = [
    pairOf(options.hostAddress, options.stackAddress, 4),
    pairOf(options.hostAddress6, options.stackAddress6, 6),
  ].filter(pair => pair !== undefined)
  if (pairs.length > 0) return pairs
  throw invalid('A TUN device needs `tun.hostAddress` and `tun.stackAddress`, or the same with 6 for IPv6.')
}

const pairOf = (host: string | undefined, stack: string | undefined, family: 4 | 6): AddressPair | undefined => {
  if (host === undefined && stack === undefined) return undefined
  const suffix = family === 4 ? '' : '6'
  const names = [`\`tun.hostAddress${suffix}\``, `\`tun.stackAddress${suffix}\``] as const
  if (host === undefined || stack === undefined) {
    throw invalid(`${names[0]} and ${names[1]} go together: give both or neither.`)
  }
  const pair = { host: parseAddress(host, names[0], family), stack: parseAddress(stack, names[1], family) }
  if (pair.host.text === pair.stack.text) throw invalid(`${names[0]} and ${names[1]} must differ, both are ${host}.`)
  return pair
}
