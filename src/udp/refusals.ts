import { Errno } from '../native.js'

/** The socket's or the device's queue is full: the datagram is lost, as on any network. */
export const full: ReadonlySet<number> = new Set([Errno.EAGAIN, Errno.ENOBUFS, Errno.ENOMEM])

/**
 * Ways to say that a message cannot be cut: a datagram is larger than the device's MTU less the headers (EMSGSIZE,
 * before Linux 6.2 EINVAL), the device does not checksum (EIO), the kernel or a driver does not know how (EOPNOTSUPP).
 */
export const uncut: ReadonlySet<number> = new Set([Errno.EMSGSIZE, Errno.EINVAL, Errno.EIO, Errno.EOPNOTSUPP])

/** These say so of any size. */
export const neverCut: ReadonlySet<number> = new Set([Errno.EIO, Errno.EOPNOTSUPP])
