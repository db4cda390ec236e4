import { ErrorCode, FakeTcpError, invalid } from '../errors.js'
import { Errno, errnoName, native, TunFlag, TunOffload } from '../native.js'
import { type Address, parseAddress } from './address.js'
import { defaults, type TunOptions, whole } from './options.js'

/** Where packets come from and go to: one descriptor per queue, each read and write one IP packet. */
export interface Device {
  readonly name: string
  readonly queues: readonly number[]
  /** Bytes of virtio-net header in front of every packet; 0: none, and no super-packets. */
  readonly virtioSize: 0 | 10 | 12
  readonly mtu: number
  /** Whether a packet's queue follows from its ports (`queueOf`); else any queue may bring any packet. */
  readonly steered: boolean
  readonly stackAddress?: Address
  readonly stackAddress6?: Address
  /** Idempotent. */
  close(): void
}

/** Smallest MTU that IPv6 allows (RFC 8200 §5); IPv4 alone could do with less, but nobody wants it. */
const leastMtu = 1280
const virtioSize = 10

/** Makes a TUN interface with its queues, addresses and offloads, and brings it up; or adopts one. Leaves nothing behind when it throws. */
export const openTun = (options: TunOptions): Device =>
  options.descriptors === undefined ? makeTun(options) : adoptTun(options, options.descriptors)

/** Closes them once, however often it is called. */
const closer = (queues: number[]) => () => {
  for (const fd of queues.splice(0)) native.close(fd)
}

const useHeaders = (queue: number, name: string): void => {
  check(native.tunHeaderSize(queue, virtioSize), `set the virtio-net header size of ${name}`)
  // A kernel that refuses these still takes our super-packets: only reads get smaller.
  native.tunOffload(queue, TunOffload.checksum | TunOffload.tso4 | TunOffload.tso6)
}

const makeTun = (options: TunOptions): Device => {
  const count = whole(options.queues ?? defaults.queues, 'tun.queues', 1, 256)
  const mtu = whole(options.mtu ?? defaults.mtu, 'tun.mtu', leastMtu, 65_535)
  const txQueueLength = whole(options.txQueueLength ?? defaults.txQueueLength, 'tun.txQueueLength', 1, 1_000_000)
  const pairs = [
    addressPair(options.hostAddress, options.stackAddress, 4, ''),
    addressPair(options.hostAddress6, options.stackAddress6, 6, '6'),
  ]
  if (pairs.every(pair => pair === undefined)) {
    throw invalid('A TUN device needs tun.hostAddress and tun.stackAddress, or the same with 6 for IPv6.')
  }
  const queues: number[] = []
  const close = closer(queues)
  try {
    const headers = options.offload !== false
    const name = openQueues(options.name ?? '', count, headers, queues)
    if (headers) {
      useHeaders(queues[0], name)
      native.linkMangleId(name)
    }
    const steered = count > 1 && native.tunSteer(queues[0]) === 0
    // Before the addresses: on an interface that is down the kernel leaves out the route to an IPv6 address's peer, for good.
    check(bringUp(name, mtu, txQueueLength), `bring ${name} up with MTU ${mtu}`)
    for (const pair of pairs) {
      if (pair === undefined) continue
      const prefix = pair.host.bytes.length * 8
      check(
        native.linkAddress(name, pair.host.bytes, pair.stack.bytes, prefix),
        `give ${name} the address ${pair.host.text} (peer ${pair.stack.text})`,
      )
    }
    return {
      name,
      queues: [...queues],
      virtioSize: headers ? virtioSize : 0,
      mtu,
      steered,
      ...(pairs[0] && { stackAddress: pairs[0].stack }),
      ...(pairs[1] && { stackAddress6: pairs[1].stack }),
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}

const adoptTun = (options: TunOptions, descriptors: readonly number[]): Device => {
  const mtu = whole(options.mtu ?? defaults.mtu, 'tun.mtu', leastMtu, 65_535)
  whole(descriptors.length, 'tun.descriptors.length', 1, 256)
  const four =
    options.stackAddress === undefined ? undefined : parseAddress(options.stackAddress, 'tun.stackAddress', 4)
  const six =
    options.stackAddress6 === undefined ? undefined : parseAddress(options.stackAddress6, 'tun.stackAddress6', 6)
  if (four === undefined && six === undefined) {
    throw invalid('An adopted TUN device needs tun.stackAddress or tun.stackAddress6.')
  }
  const queues: number[] = []
  const close = closer(queues)
  try {
    const kinds = new Set<string>()
    for (const fd of descriptors) {
      const flags = native.tunAdopt(whole(fd, 'tun.descriptors', 0, 2 ** 31 - 1))
      if (flags < 0)
        throw invalid(`Descriptor ${fd} of tun.descriptors is not an attached TUN queue (${errnoName(flags)}).`)
      queues.push(fd)
      if ((flags & TunFlag.tun) === 0 || (flags & TunFlag.noInformation) === 0) {
        throw invalid(`Descriptor ${fd} of tun.descriptors must have been attached with IFF_TUN and IFF_NO_PI.`)
      }
      kinds.add(`${native.tunName(fd)} ${flags & TunFlag.vnetHeader}`)
    }
    const [kind] = kinds
    if (kinds.size > 1) throw invalid('All of tun.descriptors must be queues of one interface, with the same flags.')
    const [name, headers] = kind.split(' ')
    if (headers !== '0') useHeaders(queues[0], name)
    return {
      name,
      queues: [...queues],
      virtioSize: headers === '0' ? 0 : virtioSize,
      mtu,
      steered: queues.length > 1 && native.tunSteer(queues[0]) === 0,
      ...(four && { stackAddress: four }),
      ...(six && { stackAddress6: six }),
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}

export interface VirtualLinkOptions {
  mtu?: number
  offload?: boolean
  queues?: number
}

/**
 * Two devices joined back to back, without privileges or a kernel interface. `a` has the addresses 192.168.200.2 and fcc8::2, `b`
 * 192.168.201.2 and fcc9::2, unless `Stack.open` is told otherwise.
 */
export const createVirtualLink = (options: VirtualLinkOptions = {}): [a: Device, b: Device] => {
  const count = whole(options.queues ?? 1, 'queues', 1, 256)
  const mtu = whole(options.mtu ?? defaults.mtu, 'mtu', leastMtu, 65_535)
  const ends: [number[], number[]] = [[], []]
  const pair = new Int32Array(2)
  for (let i = 0; i < count; i++) {
    const result = native.pairOpen(pair)
    if (result < 0) {
      for (const end of ends) closer(end)()
      check(result, 'open a socket pair')
    }
    ends[0].push(pair[0])
    ends[1].push(pair[1])
  }
  const device = (end: number[], name: string, address: string, address6: string): Device => ({
    name,
    queues: [...end],
    virtioSize: options.offload === false ? 0 : virtioSize,
    mtu,
    steered: false,
    stackAddress: parseAddress(address, 'stackAddress'),
    stackAddress6: parseAddress(address6, 'stackAddress6'),
    close: closer(end),
  })
  return [
    device(ends[0], 'virtual-a', '192.168.200.2', 'fcc8::2'),
    device(ends[1], 'virtual-b', '192.168.201.2', 'fcc9::2'),
  ]
}

const addressPair = (host: string | undefined, stack: string | undefined, family: 4 | 6, suffix: string) => {
  if (host === undefined && stack === undefined) return undefined
  if (host === undefined || stack === undefined) {
    throw invalid(`tun.hostAddress${suffix} and tun.stackAddress${suffix} go together: give both or neither.`)
  }
  const pair = {
    host: parseAddress(host, `tun.hostAddress${suffix}`, family),
    stack: parseAddress(stack, `tun.stackAddress${suffix}`, family),
  }
  if (pair.host.text === pair.stack.text) {
    throw invalid(`tun.hostAddress${suffix} and tun.stackAddress${suffix} must differ, both are ${host}.`)
  }
  return pair
}

/** Fills `queues` and answers the interface's name. The first queue must be the one that makes the interface: we never join somebody else's. */
const openQueues = (wanted: string, count: number, headers: boolean, queues: number[]): string => {
  if (!/^[^\s/:]{0,15}$/u.test(wanted) || wanted === '.' || wanted === '..') {
    throw invalid(`tun.name must be an interface name of at most 15 characters, not ${JSON.stringify(wanted)}.`)
  }
  const flags = (count > 1 ? TunFlag.multiQueue : 0) | (headers ? TunFlag.vnetHeader : 0)
  let name = wanted
  for (let i = 0; i < count; i++) {
    const fd = native.tunOpen(name, i === 0 ? flags | TunFlag.exclusive : flags)
    if (fd < 0) throw tunError(fd, wanted)
    queues.push(fd)
    if (i === 0) name = String(native.tunName(fd))
  }
  return name
}

/** In a user namespace the kernel lets nobody set the queue length: its default must do there. */
const bringUp = (name: string, mtu: number, txQueueLength: number): number => {
  const result = native.linkUp(name, mtu, txQueueLength)
  return result === -Errno.EPERM ? native.linkUp(name, mtu, 0) : result
}

const tunError = (result: number, name: string): FakeTcpError => {
  switch (-result) {
    case Errno.ENOENT:
    case Errno.ENODEV:
      return new FakeTcpError(
        ErrorCode.NO_TUN,
        '/dev/net/tun is missing: load the module (modprobe tun), or give the container the device (--device /dev/net/tun).',
      )
    case Errno.EPERM:
    case Errno.EACCES:
      return new FakeTcpError(
        ErrorCode.PERMISSION,
        'Making a TUN interface needs the CAP_NET_ADMIN capability and access to /dev/net/tun: run as root, or grant both.',
      )
    case Errno.EBUSY:
    case Errno.EINVAL:
      return new FakeTcpError(
        ErrorCode.NAME_TAKEN,
        `The interface name ${JSON.stringify(name)} is taken: choose another one, or none and the kernel will.`,
      )
    default:
      return new FakeTcpError(ErrorCode.DEVICE, `The kernel refused a TUN interface (${errnoName(result)}).`)
  }
}

const check = (result: number, what: string): void => {
  if (result >= 0) return
  const permission = -result === Errno.EPERM || -result === Errno.EACCES
  throw new FakeTcpError(
    permission ? ErrorCode.PERMISSION : ErrorCode.DEVICE,
    permission
      ? `Not permitted to ${what}: the CAP_NET_ADMIN capability is missing.`
      : `The kernel refused to ${what} (${errnoName(result)}).`,
  )
}
