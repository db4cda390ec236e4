/**
 * Every reason why an inbound packet is refused while it is parsed. A `check` returns a length (≥ 0) or one of these,
 * so the test is `< 0` and the value is at once the counter to raise: `faultNames[~fault]`.
 */
export const Fault = {
  /** Empty, shorter than an IP header, or the virtio-net header is cut. */
  frameTooShort: -1,
  /** Neither 4 nor 6. */
  ipVersion: -2,
  /** Unknown gso_type, or gso_size 0 with one set: no datagram boundaries. */
  virtioGso: -3,
  /** IHL below 5, or past the end. */
  ipv4HeaderLength: -4,
  /** Total length shorter than the header, or longer than what was read. */
  ipv4TotalLength: -5,
  /** More fragments, or a fragment offset: nothing is reassembled. */
  ipv4Fragment: -6,
  /** Not the protocol asked for; every other IPv4 rule held. */
  ipv4Protocol: -7,
  ipv4Checksum: -8,
  /** Zero (a jumbogram), or longer than what was read. */
  ipv6PayloadLength: -9,
  /**
   * Past the end, more than 8, misplaced, routing type 0 or with segments left, AH, or an option that demands a
   * discard.
   */
  ipv6ExtensionHeader: -10,
  ipv6Fragment: -11,
  /** Not the protocol asked for; every other IPv6 rule held. */
  ipv6Protocol: -12,
  /** An address no packet may come from. */
  sourceAddress: -13,
  /** Fewer than 20 bytes after the IP header. */
  tcpTooShort: -14,
  /** Below 5, or past the end. */
  tcpDataOffset: -15,
  /** An option of length 0 or 1, or past the header. */
  tcpOptions: -16,
  /** A combination no TCP sends. */
  tcpFlags: -17,
  tcpChecksum: -18,
  /** Source or destination port 0. */
  tcpPort: -19,
  icmpTooShort: -20,
  /** Neither "fragmentation needed" nor "packet too big". */
  icmpType: -21,
  icmpChecksum: -22,
  /** The quoted packet is cut before its sequence number, or isn't TCP. */
  icmpQuote: -23,
} as const
export type Fault = (typeof Fault)[keyof typeof Fault]

/** Counter names. Fault −1 is index 0, so the index of a fault is `~fault`. */
export const faultNames: readonly (keyof typeof Fault)[] = Object.keys(Fault) as (keyof typeof Fault)[]
