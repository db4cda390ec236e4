#include <endian.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>

#include "checksum.h"
#include "exports.h"
#include "io.h"

namespace {

constexpr int64_t maxVirtioLength = 64;
constexpr int64_t maxHeaderLength = maxVirtioLength + sizeof(ip6_hdr) + 60;

void store16(uint8_t* to, uint32_t value) {
  const uint16_t bytes = htobe16(static_cast<uint16_t>(value));
  memcpy(to, &bytes, sizeof bytes);
}

uint32_t load16(const uint8_t* from) {
  return static_cast<uint32_t>(from[0]) << 8 | from[1];
}

/** The headers of a packet. They are loaded from a template, and prepared for one payload after another. */
class SegmentHeader {
 public:
  /** Loads a virtio header of `virtioLength` bytes, an IPv4 header without options or an IPv6 header, and a TCP header.
   * False when `from` is anything else. */
  bool load(const uint8_t* from, int64_t length, int64_t virtioLength) {
    if (virtioLength < 0 || virtioLength > maxVirtioLength || length <= virtioLength) return false;
    length_ = length;
    ip_ = bytes_ + virtioLength;
    memset(bytes_, 0, virtioLength);
    from += virtioLength;
    isIPv4_ = *from == 0x45;
    if (!isIPv4_ && *from >> 4 != 6) return false;
    const int64_t ipLength = isIPv4_ ? sizeof(iphdr) : sizeof(ip6_hdr);
    tcpLength_ = length - virtioLength - ipLength;
    if (tcpLength_ < static_cast<int64_t>(sizeof(tcphdr)) || from[ipLength + 12] >> 4 != tcpLength_ / 4) return false;
    if (tcpLength_ % 4 != 0) return false;
    memcpy(ip_, from, length - virtioLength);
    tcp_ = ip_ + ipLength;

    id_ = load16(ip_ + offsetof(iphdr, id));
    sequence_ = load16(tcp_ + offsetof(tcphdr, seq)) << 16 | load16(tcp_ + offsetof(tcphdr, seq) + 2);
    store32(tcp_ + offsetof(tcphdr, seq), 0);
    store16(tcp_ + offsetof(tcphdr, check), 0);
    // The part of the sum that all segments share: both addresses, the protocol, and the TCP header without seq.
    const int64_t addresses = isIPv4_ ? offsetof(iphdr, saddr) : offsetof(ip6_hdr, ip6_src);
    commonSum_ = onesComplementSum(ip_ + addresses, ipLength - addresses + tcpLength_, IPPROTO_TCP);
    return true;
  }

  /** Sets lengths, id, seq and checksums for the next segment. False when it is too long for an IP packet. */
  bool prepare(const iovec& payload) {
    const uint64_t segmentLength = tcpLength_ + payload.iov_len;
    const uint64_t ipLength = isIPv4_ ? sizeof(iphdr) + segmentLength : segmentLength;
    if (ipLength > 0xffff) return false;
    if (isIPv4_) {
      store16(ip_ + offsetof(iphdr, tot_len), ipLength);
      store16(ip_ + offsetof(iphdr, id), id_++);
      store16(ip_ + offsetof(iphdr, check), 0);
      store16(ip_ + offsetof(iphdr, check), ~onesComplementSum(ip_, sizeof(iphdr), 0));
    } else {
      store16(ip_ + offsetof(ip6_hdr, ip6_plen), ipLength);
    }
    const uint32_t common = commonSum_ + (sequence_ >> 16) + (sequence_ & 0xffff) + segmentLength;
    const auto* bytes = static_cast<const uint8_t*>(payload.iov_base);
    store32(tcp_ + offsetof(tcphdr, seq), sequence_);
    store16(tcp_ + offsetof(tcphdr, check), ~onesComplementSum(bytes, payload.iov_len, common));
    sequence_ += payload.iov_len;
    return true;
  }

  iovec bytes() { return {bytes_, static_cast<size_t>(length_)}; }

 private:
  static void store32(uint8_t* to, uint32_t value) {
    store16(to, value >> 16);
    store16(to + 2, value);
  }

  uint8_t bytes_[maxHeaderLength];
  uint8_t* ip_;
  uint8_t* tcp_;
  int64_t length_;
  int64_t tcpLength_;
  bool isIPv4_;
  uint32_t id_;
  uint32_t sequence_;
  uint32_t commonSum_;
};

}  // namespace

int32_t writeSegments(Environment&, int fd, Memory head, int64_t headAt, int64_t headLength, int64_t virtioLength,
                      Memory body, Words vec, int64_t vecAt, int64_t pieces, int64_t segmentSize) {
  if (pieces > maxPieces || segmentSize < 0) return -EINVAL;
  if (!head.holds(headAt, headLength)) return -EFAULT;
  iovec parts[maxPieces];
  if (const int32_t error = gather(body, vec, vecAt, pieces, parts)) return error;
  SegmentHeader header;
  if (!header.load(head.data + headAt, headLength, virtioLength)) return -EINVAL;

  int32_t written = 0;
  for (int64_t piece = 0; piece < pieces; piece++) {
    auto* from = static_cast<uint8_t*>(parts[piece].iov_base);
    size_t left = parts[piece].iov_len;
    while (left > 0) {
      const size_t length = segmentSize > 0 && static_cast<size_t>(segmentSize) < left ? segmentSize : left;
      const iovec payload = {from, length};
      int64_t result = -EMSGSIZE;
      if (header.prepare(payload)) {
        const iovec packet[] = {header.bytes(), payload};
        result = retried([&] { return writev(fd, packet, 2); });
      }
      if (result < 0) return written > 0 ? written : static_cast<int32_t>(result);
      written++;
      from += length;
      left -= length;
    }
  }
  return written;
}
