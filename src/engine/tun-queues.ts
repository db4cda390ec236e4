import { ErrorCode, FakeTcpError, invalid } from '../errors.js'
import { Errno, errnoName, native, TunFlag } from '../native.js'
import type { Netlink } from '../net/netlink.js'

/** A TUN interface that this process has made or adopted, and the descriptors of its queues. */
export interface TunQueues {
  readonly name: string
  readonly queues: readonly number[]
  /** Whether a virtio-net header stands in front of every packet. */
  readonly headers: boolean
  /** Flags that TUNSETIFF refused, and with which error: 'IFF_VNET_HDR' → 'EINVAL'. */
  readonly refused: ReadonlyMap<string, string>
}

interface Wanted {
  /** Empty: the kernel chooses. */
  readonly name: string
  readonly count: number
  readonly headers: boolean
}

/** Flags that the stack can do without. The least costly one is given up first. */
const optional = [
  // Without this flag, only the look at the name in `openQueues` keeps us from joining another program's interface.
  { name: 'IFF_TUN_EXCL', flag: TunFlag.exclusive },
  { name: 'IFF_MULTI_QUEUE', flag: TunFlag.multiQueue },
  { name: 'IFF_VNET_HDR', flag: TunFlag.vnetHeader },
] as const

/**
 * Makes a TUN interface of up to `count` queues. When a kernel or sandbox refuses one of the optional flags, asks again
 * without it. Appends to `queues` as it goes, so that the caller can close them after an error. Throws NO_TUN,
 * PERMISSION, NAME_TAKEN, INVALID_ARGUMENT or DEVICE.
 */
export const openQueues = (netlink: Netlink, wanted: Wanted, queues: number[]): TunQueues => {
  checkName(wanted.name)
  if (wanted.name !== '' && netlink.link(wanted.name) !== undefined) throw nameTaken(wanted.name)
  const asked =
    TunFlag.exclusive | (wanted.count > 1 ? TunFlag.multiQueue : 0) | (wanted.headers ? TunFlag.vnetHeader : 0)
  const refused = new Map<string, string>()
  const { flags, fd } = openFirst(wanted.name, asked, refused)
  queues.push(fd)
  const name = String(native.tunName(fd))
  const count = (flags & TunFlag.multiQueue) === 0 ? 1 : wanted.count
  while (queues.length < count) {
    const next = native.tunOpen(name, flags & ~TunFlag.exclusive)
    if (next < 0) throw tunError(next, name)
    queues.push(next)
  }
  return { name, queues: [...queues], headers: (flags & TunFlag.vnetHeader) !== 0, refused }
}

/** Opens the first queue, which makes the interface, with as many of the flags as the kernel takes. */
const openFirst = (name: string, asked: number, refused: Map<string, string>): { flags: number; fd: number } => {
  const mayGo = optional.filter(({ flag }) => (asked & flag) !== 0)
  let first = 0
  for (let without = 0; without < 1 << mayGo.length; without++) {
    const gone = mayGo.filter((_, i) => (without & (1 << i)) !== 0)
    const flags = gone.reduce((left, { flag }) => left & ~flag, asked)
    const fd = native.tunOpen(name, flags)
    if (fd >= 0) {
      for (const flag of gone) refused.set(flag.name, errnoName(first))
      return { flags, fd }
    }
    if (without === 0) first = fd
    if (fd !== -Errno.EINVAL && fd !== -Errno.EOPNOTSUPP) throw tunError(fd, name)
  }
  throw tunError(first, name)
}

/** Throws INVALID_ARGUMENT for a name that the kernel would refuse (dev_valid_name, dev_alloc_name). */
const checkName = (name: string): void => {
  const given = JSON.stringify(name)
  if (Buffer.byteLength(name) > 15)
    throw invalid(`\`tun.name\` has at most 15 characters, ${given} has ${name.length}.`)
  if (/[/:\s]/u.test(name)) throw invalid(`\`tun.name\` contains no "/", no ":" and no space, unlike ${given}.`)
  if (name === '.' || name === '..') throw invalid(`\`tun.name\` cannot be ${given}.`)
  if (!/^(?:[^%]*|[^%]*%d[^%]*)$/u.test(name)) {
    throw invalid(
      `\`tun.name\` contains one "%d" at most, for a number that the kernel chooses; ${given} is something else.`,
    )
  }
}

const nameTaken = (name: string): FakeTcpError =>
  new FakeTcpError(
    ErrorCode.NAME_TAKEN,
    `The interface name ${JSON.stringify(name)} is taken: choose another one, or none and the kernel will.`,
  )

const tunError = (result: number, name: string): FakeTcpError => {
  switch (-result) {
    case Errno.ENOENT:
    case Errno.ENODEV:
    case Errno.ENXIO:
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
      return nameTaken(name)
    case Errno.EMFILE:
    case Errno.ENFILE:
      return new FakeTcpError(
        ErrorCode.DEVICE,
        'No file descriptor is left for a queue of the TUN interface: raise the limit (ulimit -n).',
      )
    default:
      return new FakeTcpError(ErrorCode.DEVICE, `The kernel refused to make a TUN interface (${errnoName(result)}).`)
  }
}
