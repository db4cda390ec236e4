import ipaddr from 'ipaddr.js'
import { invalid } from '../errors.js'

/** An IP address as it goes on the wire: 4 or 16 bytes, and as four signed big-endian-valued words (IPv4 uses the first). */
export interface Address {
  readonly family: 4 | 6
  readonly bytes: Uint8Array
  readonly words: readonly [number, number, number, number]
  readonly text: string
}

/** Parses an address without a port; a v4-mapped IPv6 address becomes IPv4. Throws FakeTcpError INVALID_ARGUMENT naming `what`. */
export const parseAddress = (text: string, what: string, family?: 4 | 6): Address => {
  // `isValid` alone would let IPv4's historic forms (one number, octal) through.
  const strict = ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text)
  if (!strict) throw invalid(`${what} must be an IPv4 or IPv6 address, not ${JSON.stringify(text)}.`)
  const parsed = ipaddr.process(text)
  const address = fromBytes(Uint8Array.from(parsed.toByteArray()))
  if (family !== undefined && address.family !== family) {
    throw invalid(`${what} must be an IPv${family} address, not ${JSON.stringify(text)}.`)
  }
  return address
}

export const fromBytes = (bytes: Uint8Array): Address => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const word = (i: number) => (i * 4 < bytes.length ? view.getInt32(i * 4) : 0)
  return {
    family: bytes.length === 4 ? 4 : 6,
    bytes,
    words: [word(0), word(1), word(2), word(3)],
    text: ipaddr.fromByteArray([...bytes]).toString(),
  }
}

export const fromWords = (family: number, words: ArrayLike<number>, at = 0): Address => {
  const bytes = new Uint8Array(family === 4 ? 4 : 16)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < bytes.length / 4; i++) view.setInt32(i * 4, words[at + i])
  return fromBytes(bytes)
}

/** '192.0.2.1:80' or '[2001:db8::1]:80'. */
export const endpoint = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

export const checkPort = (port: number, what: string): void => {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw invalid(`${what} must be a whole number from 1 to 65535, not ${port}.`)
  }
}
