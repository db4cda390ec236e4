/** What IPv4 and IPv6 share: the version nibble decides which module checks the rest. */
import { Fault } from './fault.js'

/** Protocol and next-header numbers (IANA). */
export const Protocol = { icmp: 1, tcp: 6, icmp6: 58 } as const

/** 4, 6, or a Fault. */
export const check = (b: Uint8Array, at: number, end: number): number => {
  if (end - at < 20) return Fault.frameTooShort
  const version = b[at] >>> 4
  return version === 4 || version === 6 ? version : Fault.ipVersion
}
