import * as ipv4 from './ipv4.js'
import * as ipv6 from './ipv6.js'
import * as tcp from './tcp.js'

/** Bytes of the IP header of a packet that the stack sends: it has no options and no extension headers. */
export const ipHeaderLength = (family: number): number => (family === 4 ? ipv4.minimumHeaderLength : ipv6.headerLength)

/** Bytes in front of a datagram: the IP header and the TCP header. */
export const headersLength = (family: number): number => ipHeaderLength(family) + tcp.headerLength
