/**
 * One record of a packet ring: a datagram, or the equal datagrams of a super-packet, on their way to the thread that consumes
 * the flow. Word offsets from the record's start; the payload follows the header.
 */
export const Delivery = {
  slot: 0,
  generation: 1,
  /** Bytes per datagram; the last one may be shorter. */
  segmentSize: 2,
  headerBytes: 16,
} as const
