import { readFileSync } from 'node:fs'
import { ErrorCode, FakeTcpError, invalid } from '../errors.js'
import { checkPort, isLinkLocal, parseZoned } from '../net/address.js'
import type { UdpAddress } from '../udp/socket.js'

/** Splits 'host:port' and '[v6]:port'. Throws INVALID_ARGUMENT naming `what`. */
export const parseEndpoint = (text: string, what: string): { host: string; port: number } => {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/u.exec(text)
  const host = match?.[1] ?? match?.[2]
  if (match === null || host === undefined) {
    throw invalid(
      `${what} must look like 192.0.2.1:4567, [2001:db8::1]:4567 or name:4567, not ${JSON.stringify(text)}.`,
    )
  }
  const port = Number(match[3])
  checkPort(port, `The port of ${what}`)
  return { host, port }
}

/** Parses an IP address; a link-local one needs a zone ('fe80::1%eth0'). Throws INVALID_ARGUMENT naming `what`. */
export const parseUdpAddress = (text: string, what: string): UdpAddress => {
  const { address, zone } = parseZoned(text, what)
  return { bytes: address.bytes, zone }
}

/** Parses `host` as an address; undefined when it is a name. Throws INVALID_ARGUMENT when it can be neither. */
export const literalAddress = (host: string, what: string): UdpAddress | undefined =>
  /[:%/]|^[\d.]+$/u.test(host) ? parseUdpAddress(host, what) : undefined

/**
 * Throws INVALID_ARGUMENT when a client cannot reach this `remote` through TUN: link-local, or IPv6 with `ipv4Only`.
 */
export const checkReachable = ({ bytes }: UdpAddress, ipv4Only: boolean): void => {
  if (isLinkLocal(bytes)) {
    throw invalid(
      '`remote` is a link-local address, and the TUN interface is a link of its own: give an address of the server that can be routed to.',
    )
  }
  if (bytes.length === 16 && ipv4Only) {
    throw invalid('`remote` is an IPv6 address, and `ipv4Only` leaves no way to it.')
  }
}

/** Reads the file of `handshakePacket`, 1 to `max` bytes. Throws INVALID_ARGUMENT. */
export const readHandshake = (path: string, max: number): Uint8Array => {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new FakeTcpError(ErrorCode.INVALID_ARGUMENT, `The handshake packet ${path} cannot be read (${code}).`, {
      cause,
    })
  }
  if (bytes.length === 0)
    throw invalid(`The handshake packet ${path} is empty: a connection cannot carry an empty datagram.`)
  if (bytes.length > max)
    throw invalid(`The handshake packet ${path} has ${bytes.length} bytes: one datagram has at most ${max}.`)
  return new Uint8Array(bytes)
}
