import { endpoint, fromBytes } from '../engine/address.js'
import { ErrorCode, FakeTcpError } from '../errors.js'
import { Errno, errnoName, native, UdpFlag } from '../native.js'
import { udpBufferBytes } from './options.js'

export interface UdpSocket {
  readonly fd: number
  readonly family: 4 | 6
}

/** A socket that takes datagrams from anyone; several share a port, and the kernel gives each source to one of them. Throws UDP. */
export const bindUdp = (address: Uint8Array, port: number, flags: number): UdpSocket =>
  open('UDP', address, port, flags, native.udpBind)

/** A socket with one peer. Throws UDP. */
export const connectUdp = (address: Uint8Array, port: number): UdpSocket =>
  open('UDP to', address, port, UdpFlag.gro, native.udpConnect)

/** Throws UDP when somebody else has the port: sockets that share a port would not notice. */
export const claimUdpPort = (address: Uint8Array, port: number): void => {
  native.close(bindUdp(address, port, 0).fd)
}

const open = (
  verb: string,
  address: Uint8Array,
  port: number,
  flags: number,
  attach: (fd: number, address: Uint8Array, port: number, scope: number) => number,
): UdpSocket => {
  const what = `${verb} ${endpoint(fromBytes(address).text, port)}`
  const family = address.length === 4 ? 4 : 6
  const fd = native.udpOpen(family, flags)
  if (fd < 0) throw udpError(fd, what)
  const result = attach(fd, address, port, 0)
  if (result < 0) {
    native.close(fd)
    throw udpError(result, what)
  }
  native.socketBuffers(fd, udpBufferBytes, udpBufferBytes)
  return { fd, family }
}

const udpError = (result: number, what: string): FakeTcpError => {
  const reasons: Record<number, string> = {
    [Errno.EADDRINUSE]: 'is in use by another program: choose another port, or stop that program.',
    [Errno.EADDRNOTAVAIL]: 'has an address that this machine does not have.',
    [Errno.EACCES]: 'is a privileged port: run as root, or choose one above 1023.',
    [Errno.EMFILE]: 'needs one more file descriptor: raise the limit (ulimit -n).',
    [Errno.ENFILE]: 'needs one more file descriptor than the system has.',
  }
  const reason = reasons[-result] ?? `was refused by the kernel (${errnoName(result)}).`
  return new FakeTcpError(ErrorCode.UDP, `${what} ${reason}`)
}
