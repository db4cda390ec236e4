import { ErrorCode, FakeTcpError } from '../errors.js'
import { Errno, errnoName, native, TunOffload } from '../native.js'
import { closer, type Device, virtioSize } from '../net/device.js'
import { type DeviceFeatures, type Feature, unused, used } from '../net/features.js'
import { Netlink } from '../net/netlink.js'
import type { AddressPair } from '../net/pair.js'
import { adoptQueues } from './adopt-tun.js'
import type { ResolvedOptions } from './options.js'
import { tryOffloads } from './trial.js'
import { TunAddresses } from './tun-addresses.js'
import type { TunDevice } from './tun-device.js'
import type { AdoptedTun, ResolvedTun } from './tun-options.js'
import { openQueues, type TunQueues } from './tun-queues.js'

type Log = ResolvedOptions['logger']

/**
 * Makes a TUN interface with its queues, addresses and offloads, and brings it up; or adopts one. Leaves nothing behind
 * when it throws.
 */
export const openTun = (options: ResolvedTun, log?: Log): TunDevice =>
  options.adopted === undefined ? makeTun(options, log) : adoptTun(options, options.adopted)

/** As `openTun`, and tries super-packets. What does not work is logged once, and not used. */
export const openTriedTun = async (options: ResolvedTun, log?: Log): Promise<TunDevice> => {
  const device = openTun(options, log)
  if (device.virtioSize === 0) return device
  try {
    const { complete, ...tried } = await tryOffloads(device)
    if (!complete)
      log?.debug(
        { event: 'super-packets-untried', interface: device.name },
        'super-packets could not be tried: they are taken on trust',
      )
    // A kernel that refuses this goes on delivering super-packets, which the workers understand.
    if (!tried.superPacketsIn.used) void native.tunOffload(device.queues[0], 0)
    const { superPacketsIn } = device.features
    const found = { ...tried, superPacketsIn: superPacketsIn.used ? tried.superPacketsIn : superPacketsIn }
    for (const [feature, { used, reason }] of Object.entries(found)) {
      if (used) continue
      const fields = { event: 'super-packets-unused', interface: device.name, feature, reason } as const
      log?.warn(fields, `${reason}: going on without super-packets`)
    }
    return { ...device, features: { ...device.features, ...found } }
  } catch (error) {
    device.close()
    throw error
  }
}

const makeTun = (options: ResolvedTun, log: Log): TunDevice => {
  const { queues: count, mtu, txQueueLength, pairs: wanted } = options
  const opened: number[] = []
  const close = closer(opened)
  const netlink = new Netlink()
  try {
    const addresses = new TunAddresses(netlink, options, log)
    const chosen = wanted.map(pair => addresses.choose(pair))
    const made = openQueues(netlink, { name: options.name, count, headers: options.offload }, opened)
    const { name } = made
    for (const [flag, errno] of made.refused) {
      const fields = { event: 'tun-flag-refused', interface: name, flag, errno } as const
      log?.warn(fields, `the kernel refused ${flag} for the TUN interface: ${loss[flag]}`)
    }
    // Without it packets are merged less often, and nothing else is lost.
    if (made.headers) void native.linkMangleId(name)
    const features = featuresOf(made, options)
    // Bring the interface up before it gets addresses. While it is down, the kernel does not add the route to an IPv6
    // address's peer, and does not add it later either.
    checkUp(bringUp(name, mtu, txQueueLength), name, mtu)
    const index = netlink.link(name)?.index ?? 0
    const pairs = chosen.map(pair => addresses.give(index, name, pair)).filter(pair => pair !== undefined)
    const [four, six] = ([4, 6] as const).map(family => pairs.find(({ host }) => host.family === family)?.stack)
    return {
      ...deviceOf({ ...made, mtu, close }, { ...features, ipv6: ipv6Of(wanted, pairs) }),
      ...{ pairs, index },
      ...(four && { stackAddress: four }),
      ...(six && { stackAddress6: six }),
    }
  } catch (error) {
    close()
    throw error
  } finally {
    netlink.close()
  }
}

const adoptTun = (
  options: ResolvedTun,
  { descriptors, stackAddress: four, stackAddress6: six }: AdoptedTun,
): TunDevice => {
  const { mtu } = options
  const opened: number[] = []
  const close = closer(opened)
  try {
    const adopted = adoptQueues(descriptors, opened)
    const ipv6 = six === undefined ? unused('no IPv6 address was given') : used
    return {
      ...deviceOf({ ...adopted, mtu, close }, { ...featuresOf(adopted, options), ipv6 }),
      ...{ pairs: [], index: 0 },
      ...(four && { stackAddress: four }),
      ...(six && { stackAddress6: six }),
    }
  } catch (error) {
    close()
    throw error
  }
}

const deviceOf = (
  { name, queues, headers, mtu, close }: TunQueues & Pick<Device, 'mtu' | 'close'>,
  features: DeviceFeatures,
): Device => ({
  ...{ name, queues, mtu, close, features },
  virtioSize: headers ? virtioSize : 0,
  steered: features.steering.used,
})

/** Sets up the optional features of the queues. Answers which of them are in use. */
const featuresOf = ({ queues, headers, refused }: TunQueues, options: ResolvedTun): Omit<DeviceFeatures, 'ipv6'> => {
  const single = refused.get('IFF_MULTI_QUEUE')
  const superPacketsIn = headers ? useHeaders(queues[0]) : withoutHeaders(options, refused)
  return {
    queues: single === undefined ? used : unused(`the kernel refused IFF_MULTI_QUEUE (${single})`),
    superPacketsOut: headers ? used : superPacketsIn,
    superPacketsIn,
    steering: steer(queues),
  }
}

/** Sets up virtio-net headers. Answers whether the kernel delivers super-packets. */
const useHeaders = (queue: number): Feature => {
  // A kernel without this call has headers of this size anyway.
  void native.tunHeaderSize(queue, virtioSize)
  const result = native.tunOffload(queue, TunOffload.checksum | TunOffload.tso4 | TunOffload.tso6)
  return result < 0 ? unused(`the kernel refused TUNSETOFFLOAD (${errnoName(result)})`) : used
}

const withoutHeaders = (options: ResolvedTun, refused: TunQueues['refused']): Feature => {
  if (options.adopted !== undefined) return unused('the queues were opened without IFF_VNET_HDR')
  if (!options.offload) return unused('`tun.offload` is off')
  return unused(`the kernel refused IFF_VNET_HDR (${refused.get('IFF_VNET_HDR')})`)
}

const steer = (queues: readonly number[]): Feature => {
  if (queues.length === 1) return unused('there is one queue')
  const result = native.tunSteer(queues[0])
  if (result >= 0) return used
  const cause = result === -Errno.EPERM ? 'CAP_BPF is missing' : 'the kernel refused the eBPF program'
  return unused(`${cause} (${errnoName(result)})`)
}

/** What is lost without a flag. */
const loss: Readonly<Record<string, string>> = {
  IFF_TUN_EXCL: 'somebody who makes an interface of this name at the same moment would share it',
  IFF_MULTI_QUEUE: 'one queue and one worker have to do',
  IFF_VNET_HDR: 'without super-packets every datagram costs a system call',
}

const hasSix = (pairs: readonly AddressPair[]): boolean => pairs.some(({ host }) => host.family === 6)

/** Whether IPv6 is in use. Throws NO_IPV6 when no pair of addresses is left. */
const ipv6Of = (wanted: readonly AddressPair[], given: readonly AddressPair[]): Feature => {
  if (given.length === 0) {
    throw new FakeTcpError(
      ErrorCode.NO_IPV6,
      'IPv6 is switched off on this machine: give `tun.hostAddress` and `tun.stackAddress`, or switch it on.',
    )
  }
  if (hasSix(given)) return used
  return unused(hasSix(wanted) ? 'IPv6 is switched off on this machine' : 'no IPv6 addresses were given')
}

/** Brings the interface up. In a user namespace the kernel refuses to set the queue length, so its default stays. */
const bringUp = (name: string, mtu: number, txQueueLength: number): number => {
  const result = native.linkUp(name, mtu, txQueueLength)
  return result === -Errno.EPERM ? native.linkUp(name, mtu, 0) : result
}

const checkUp = (result: number, name: string, mtu: number): void => {
  if (result >= 0) return
  if (result === -Errno.EPERM || result === -Errno.EACCES) {
    throw new FakeTcpError(
      ErrorCode.PERMISSION,
      `Not permitted to bring ${name} up: the CAP_NET_ADMIN capability is missing.`,
    )
  }
  throw new FakeTcpError(
    ErrorCode.DEVICE,
    `The kernel refused to bring ${name} up with an MTU of ${mtu} bytes (${errnoName(result)}).`,
  )
}
