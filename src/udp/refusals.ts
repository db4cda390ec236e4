import { Errno } from '../native.js'

/** Errors that say that a queue of the socket or the device is full. The datagram is lost, as on any network. */
export const full: ReadonlySet<number> = new Set([Errno.EAGAIN, Errno.ENOBUFS, Errno.ENOMEM])

/**
 * Errors that say that the kernel cannot cut a message: a datagram is larger than the device's MTU less the headers
 * (EMSGSIZE, before Linux 6.2 EINVAL), the device does not checksum (EIO), the kernel or a driver does not know how
 * (EOPNOTSUPP).
 */
export const uncut: ReadonlySet<number> = new Set([Errno.EMSGSIZE, Errno.EINVAL, Errno.EIO, Errno.EOPNOTSUPP])

/** Those of them that hold for datagrams of any size. */
export const neverCut: ReadonlySet<number> = new Set([Errno.EIO, Errno.EOPNOTSUPP])
