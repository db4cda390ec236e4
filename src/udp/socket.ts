import { FakeTcpError } from '../errors.js'
import { Errno, errnoName, native } from '../native.js'
import { endpoint, fromBytes } from '../net/address.js'

/** Bytes of each socket buffer: some ten milliseconds of traffic at full rate. */
const bufferBytes = 8 * 1024 * 1024

/** An address as plain data, so that it can be posted to workers. */
export interface UdpAddress {
  /** 4 or 16 bytes. */
  readonly bytes: Uint8Array
  /** Name or number of the interface of a link-local address, else empty. */
  readonly zone: string
}

export interface UdpSocket {
  readonly fd: number
  readonly family: 4 | 6
}

/** Code of a `UdpError`. */
export const udpErrorCode = 'ERR_FAKE_TCP_UDP'

/** The kernel refused a system call on a UDP socket. */
export class UdpError extends FakeTcpError {
  /** The error number, positive. */
  readonly errno: number

  constructor(errno: number, message: string) {
    super(udpErrorCode, message)
    this.errno = errno
  }
}

export const familyOf = (address: UdpAddress): 4 | 6 => (address.bytes.length === 4 ? 4 : 6)

/** '192.0.2.1:80', '[fe80::1%eth0]:80'. */
export const describeUdp = ({ bytes, zone }: UdpAddress, port: number): string =>
  endpoint(`${fromBytes(bytes).text}${zone === '' ? '' : `%${zone}`}`, port)

/**
 * Index of the zone's interface at this moment, since interfaces come and go. 0 for an empty zone, or -errno. A number
 * that is no interface's name is the index itself.
 */
export const scopeOf = (zone: string): number => {
  if (zone === '') return 0
  const index = native.interfaceIndex(zone)
  return index < 0 && /^\d{1,9}$/u.test(zone) ? Number(zone) : index
}

/** A non-blocking socket with large buffers; `flags` are `UdpFlag` bits. Throws UdpError. */
export const openUdp = (family: 4 | 6, flags: number): UdpSocket => {
  const fd = native.udpOpen(family, flags)
  if (fd < 0) throw udpError(fd, 'A UDP socket')
  // A kernel that grants smaller buffers is good enough.
  void native.socketBuffers(fd, bufferBytes, bufferBytes)
  return { fd, family }
}

/**
 * A socket that is bound to a local address and takes datagrams from anyone. With `UdpFlag.reusePort` several share a
 * port, and the kernel assigns each source to one of them. Throws UdpError.
 */
export const bindUdp = (address: UdpAddress, port: number, flags: number): UdpSocket => {
  const socket = openUdp(familyOf(address), flags)
  const scope = scopeOf(address.zone)
  const result = scope < 0 ? scope : native.udpBind(socket.fd, address.bytes, port, scope)
  if (result >= 0) return socket
  native.close(socket.fd)
  throw udpError(result, `UDP ${describeUdp(address, port)}`)
}

/** A socket that is connected to one peer. Throws UdpError. */
export const connectUdp = (address: UdpAddress, port: number, flags: number): UdpSocket => {
  const socket = openUdp(familyOf(address), flags)
  const scope = scopeOf(address.zone)
  const result = scope < 0 ? scope : native.udpConnect(socket.fd, address.bytes, port, scope)
  if (result >= 0) return socket
  native.close(socket.fd)
  throw udpError(result, `UDP to ${describeUdp(address, port)}`)
}

/** WireGuard's usual ListenPort. */
const wireGuardPort = 51_820

/**
 * Throws UdpError when another program has the port. Sockets with `UdpFlag.reusePort` might share it without an error.
 */
export const claimUdpPort = (address: UdpAddress, port: number): void => {
  try {
    native.close(bindUdp(address, port, 0).fd)
  } catch (error) {
    if (port !== wireGuardPort || !(error instanceof UdpError) || error.errno !== Errno.EADDRINUSE) throw error
    throw new UdpError(
      error.errno,
      `UDP ${describeUdp(address, port)} is in use by another program, perhaps by WireGuard itself (its ListenPort): choose another port for \`local\`, 4500 for example, and make it WireGuard's Endpoint.`,
    )
  }
}

const reasons: Readonly<Record<number, string>> = {
  [Errno.EADDRINUSE]: 'is in use by another program: choose another port, or stop that program.',
  [Errno.EADDRNOTAVAIL]: 'has an address that this machine does not have.',
  [Errno.ENODEV]: 'names a network interface that this machine does not have.',
  [Errno.EACCES]: 'is a privileged port: run as root, or choose one above 1023.',
  [Errno.EAFNOSUPPORT]: 'is not to be had: this machine has no IPv6.',
  [Errno.EMFILE]: 'needs one more file descriptor: raise the limit (ulimit -n).',
  [Errno.ENFILE]: 'needs one more file descriptor than the system has.',
}

/** The error for `result`, the -errno of a call on `what`. */
export const udpError = (result: number, what: string): UdpError =>
  new UdpError(-result, `${what} ${reasons[-result] ?? `was refused by the kernel (${errnoName(result)}).`}`)
