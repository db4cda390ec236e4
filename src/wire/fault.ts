/**
 * Every reason for which the checks of this folder refuse an inbound packet, as the end of a sentence. The caller of
 * the check drops the packet. To its sender that is a loss like any other.
 */
export const faultTexts = {
  frameTooShort: 'it is empty, shorter than an IP header, or its virtio-net header is cut.',
  ipVersion: 'its IP version is neither 4 nor 6.',
  virtioGso:
    'its virtio-net header has an unknown gso_type, or a gso_size of 0, so nobody can tell where its datagrams end.',
  ipv4HeaderLength: 'its IPv4 header is shorter than 20 bytes, or longer than the packet.',
  ipv4TotalLength: 'its IPv4 total length is shorter than its header, or longer than what was read.',
  ipv4Fragment: 'it is an IPv4 fragment, and the stack reassembles nothing.',
  ipv4Protocol: 'it is IPv4 of another protocol than the one asked for.',
  ipv4Checksum: 'the checksum of its IPv4 header is wrong.',
  ipv6PayloadLength: 'its IPv6 payload length is 0 (a jumbogram), or longer than what was read.',
  ipv6ExtensionHeader:
    'it has an IPv6 extension header that is cut or misplaced, that is the ninth, that authenticates it or routes it further, or an option that demands a discard.',
  ipv6Fragment: 'it is an IPv6 fragment, and the stack reassembles nothing.',
  ipv6Protocol: 'it is IPv6 of another protocol than the one asked for.',
  sourceAddress:
    'its source is an address that no packet may come from (unspecified, loopback, multicast or broadcast).',
  tcpTooShort: 'it has fewer than 20 bytes behind its IP header.',
  tcpDataOffset: 'its TCP header is shorter than 20 bytes, or longer than the packet.',
  tcpOptions: 'it has a TCP option of length 0 or 1, or one that is longer than the header.',
  tcpFlags: 'it has a combination of TCP flags that no TCP sends.',
  tcpChecksum: 'its TCP checksum is wrong, so something on the way damages packets.',
  tcpPort: 'its source or destination port is 0.',
  icmpTooShort: 'it is ICMP with fewer than 8 bytes.',
  icmpType: 'it is ICMP that does not say that a packet was too big.',
  icmpChecksum: 'its ICMP checksum is wrong.',
  icmpQuote: 'it is ICMP that quotes a packet that is not TCP, or that is cut before its sequence number.',
}
export type FaultName = keyof typeof faultTexts

/** Counter names. Fault -1 is index 0, so the index of a fault is `~fault`. */
export const faultNames = Object.keys(faultTexts) as readonly FaultName[]

/**
 * A `check` returns a length (≥ 0) or one of these numbers (-1, -2 …), so the test is `< 0` and the value is at once
 * the counter to raise: `faultNames[~fault]`.
 */
export const Fault = Object.fromEntries(faultNames.map((name, i) => [name, ~i])) as Readonly<Record<FaultName, number>>
