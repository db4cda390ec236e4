import ipaddr from 'ipaddr.js'
import { invalid } from '../errors.js'
import type { Remote } from '../memory/tuple.js'

/**
 * An IP address. `bytes`: 4 or 16, in network byte order. `words`: the same as four signed 32-bit numbers, the most
 * significant byte first; IPv4 uses the first one, the others are 0. `text`: its canonical form.
 */
export interface Address {
  readonly family: 4 | 6
  readonly bytes: Uint8Array
  readonly words: readonly [number, number, number, number]
  readonly text: string
}

/**
 * Parses an address without a port; an IPv4-mapped IPv6 address becomes IPv4. Throws INVALID_ARGUMENT naming `what`.
 */
export const parseAddress = (text: string, what: string, family?: 4 | 6): Address => {
  const kind = family === undefined ? 'IPv4 or IPv6' : `IPv${family}`
  // `isValid` alone would let IPv4's historic forms (one number, octal) through.
  const strict = ipaddr.IPv4.isValidFourPartDecimal(text) || (ipaddr.IPv6.isValid(text) && !text.includes('%'))
  if (!strict) throw invalid(`${what} must be an ${kind} address, not ${JSON.stringify(text)}${hint(text)}.`)
  const address = fromBytes(Uint8Array.from(ipaddr.process(text).toByteArray()))
  if (family !== undefined && address.family !== family) {
    throw invalid(`${what} must be an ${kind} address, not ${JSON.stringify(text)}.`)
  }
  return address
}

/** Tells what to leave out of a text that is almost an address; empty for other texts. */
const hint = (text: string): string => {
  if (/^[\da-f.:]+\/\d+$/iu.test(text)) return ': leave the prefix length out'
  if (text.includes('%')) return ': leave the zone out'
  return ''
}

/**
 * An address, and the interface of a link-local one. `zone`: name or number of the interface; empty for other
 * addresses.
 */
export interface ZonedAddress {
  readonly address: Address
  readonly zone: string
}

/** As `parseAddress`, with the zone of a link-local address ('fe80::1%eth0'). Throws INVALID_ARGUMENT naming `what`. */
export const parseZoned = (text: string, what: string): ZonedAddress => {
  const at = text.indexOf('%')
  const address = parseAddress(at < 0 ? text : text.slice(0, at), what)
  const zone = at < 0 ? '' : text.slice(at + 1)
  if (!isLinkLocal(address.bytes)) {
    if (at < 0) return { address, zone }
    throw invalid(`${what} has a zone, which only link-local addresses have: write ${address.text}.`)
  }
  // What the kernel accepts as the name of an interface, except '%'.
  if (/^[^\s/:%]{1,15}$/u.test(zone)) return { address, zone }
  throw invalid(`${what} is link-local, and needs the name of its interface: write ${address.text}%eth0, for example.`)
}

/** Whether an address is valid on one link only: fe80::/10, or multicast of interface or link scope (RFC 4291 §2.7). */
export const isLinkLocal = (bytes: Uint8Array): boolean =>
  bytes.length === 16 &&
  ((bytes[0] === 0xfe && (bytes[1] & 0xc0) === 0x80) || (bytes[0] === 0xff && (bytes[1] & 0x0f) <= 2))

/** Whether it is in ::ffff:0:0/96: an IPv4 address in the form that dual-stack sockets use. */
const isMapped = (bytes: Uint8Array): boolean =>
  bytes.length === 16 && bytes.every((byte, i) => i >= 12 || byte === (i < 10 ? 0 : 0xff))

/** Makes an address of 4 or 16 bytes. For an IPv4-mapped one, `text` is that of the IPv4 address. */
export const fromBytes = (bytes: Uint8Array): Address => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const word = (i: number) => (i * 4 < bytes.length ? view.getInt32(i * 4) : 0)
  return {
    family: bytes.length === 4 ? 4 : 6,
    bytes,
    words: [word(0), word(1), word(2), word(3)],
    text: ipaddr.fromByteArray([...(isMapped(bytes) ? bytes.subarray(12) : bytes)]).toString(),
  }
}

export const fromWords = (family: number, words: ArrayLike<number>, at = 0): Address => {
  const bytes = new Uint8Array(family === 4 ? 4 : 16)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < bytes.length / 4; i++) view.setInt32(i * 4, words[at + i])
  return fromBytes(bytes)
}

/** The remote address of a tuple. */
export const remoteAddress = ({ family, r0, r1, r2, r3 }: Remote): Address => fromWords(family, [r0, r1, r2, r3])

/** '192.0.2.1:80' or '[2001:db8::1]:80'. */
export const endpoint = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

export const checkPort = (port: number, what: string): void => {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw invalid(`${what} must be a whole number from 1 to 65535, not ${port}.`)
  }
}
