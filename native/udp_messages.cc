#include <netinet/udp.h>
#include <sys/socket.h>

#include "exports.h"
#include "io.h"
#include "socket_address.h"

// Kernel interface numbers that older C library headers lack.
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace {

constexpr int64_t maxMessages = 256;
constexpr int64_t maxMessagePieces = 4096;

/** One record in `vec`: `Message` in src/native.ts has its fields. */
struct Record {
  int32_t at;
  int32_t length;
  int32_t segmentSize;
  int32_t port;
  uint8_t address[16];
  uint8_t local[16];
  int32_t scope;
  int32_t truncated;
  int32_t copies;
  int32_t unused;
};
constexpr int64_t recordWords = 16;
static_assert(sizeof(Record) == recordWords * sizeof(int32_t));

/** Control messages of one datagram: both kinds of packet info (an IPv6 socket gets both for an IPv4 datagram), and a
 * segment size. */
union Control {
  uint8_t bytes[CMSG_SPACE(sizeof(in_pktinfo)) + CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
  cmsghdr align;
};

/** What the kernel reads and writes in one recvmmsg or sendmmsg: 110 KiB, allocated when a thread first uses it. */
struct Batch {
  mmsghdr messages[maxMessages];
  SocketAddress addresses[maxMessages];
  Control controls[maxMessages];
  iovec pieces[maxMessagePieces];
};
thread_local Batch batch;

/** Appends one control message to `header`. */
template <typename Value>
void appendControl(msghdr& header, int level, int type, const Value& value) {
  auto* const to = reinterpret_cast<cmsghdr*>(static_cast<uint8_t*>(header.msg_control) + header.msg_controllen);
  to->cmsg_level = level;
  to->cmsg_type = type;
  to->cmsg_len = CMSG_LEN(sizeof value);
  memcpy(CMSG_DATA(to), &value, sizeof value);
  header.msg_controllen += CMSG_SPACE(sizeof value);
}

bool isLinkLocal(const uint8_t* address) {
  return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

void readInfo(const in_pktinfo& info, bool mapped, Record& record) {
  // ipi_addr is the destination in the header. For a broadcast or multicast it differs from ipi_spec_dst, the address
  // to answer from.
  record.copies = info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr;
  // The interface has no address to answer from.
  if (info.ipi_spec_dst.s_addr == INADDR_ANY) return;
  if (!mapped) {
    memcpy(record.local, &info.ipi_spec_dst, 4);
    return;
  }
  memset(record.local, 0, 10);
  memset(record.local + 10, 0xff, 2);
  memcpy(record.local + 12, &info.ipi_spec_dst, 4);
}

void readInfo(const in6_pktinfo& info, Record& record) {
  const auto* const address = reinterpret_cast<const uint8_t*>(&info.ipi6_addr);
  record.copies = address[0] == 0xff;
  if (record.copies) return;
  memcpy(record.local, address, sizeof record.local);
  // The answer to a datagram for a link-local address needs the link, even when its source is not link-local.
  if (isLinkLocal(address)) record.scope = static_cast<int32_t>(info.ipi6_ifindex);
}

template <typename Value>
Value valueOf(const cmsghdr* control) {
  Value value;
  memcpy(&value, CMSG_DATA(control), sizeof value);
  return value;
}

void readControls(msghdr& header, bool isIPv6, Record& record) {
  const cmsghdr* info6 = nullptr;
  const cmsghdr* info4 = nullptr;
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control; control = CMSG_NXTHDR(&header, control)) {
    const int level = control->cmsg_level, type = control->cmsg_type;
    if (level == IPPROTO_UDP && type == UDP_GRO) record.segmentSize = valueOf<int>(control);
    if (level == IPPROTO_IP && type == IP_PKTINFO) info4 = control;
    if (level == IPPROTO_IPV6 && type == IPV6_PKTINFO) info6 = control;
  }
  // An IPv6 socket gets both for an IPv4 datagram. Only the IPv4 one is right about broadcasts.
  if (info4) {
    readInfo(valueOf<in_pktinfo>(info4), isIPv6, record);
  } else if (info6) {
    readInfo(valueOf<in6_pktinfo>(info6), record);
  }
}

Record readMessage(mmsghdr& message, int64_t at) {
  Record record{};
  msghdr& header = message.msg_hdr;
  record.at = static_cast<int32_t>(at);
  record.length = static_cast<int32_t>(message.msg_len);
  record.truncated = (header.msg_flags & MSG_TRUNC) != 0;
  const auto& from = *static_cast<const SocketAddress*>(header.msg_name);
  const bool isIPv6 = from.any.sa_family == AF_INET6;
  if (!isIPv6) {
    record.port = ntohs(from.ipv4.sin_port);
    memcpy(record.address, &from.ipv4.sin_addr, 4);
  } else {
    record.port = ntohs(from.ipv6.sin6_port);
    memcpy(record.address, &from.ipv6.sin6_addr, 16);
    record.scope = static_cast<int32_t>(from.ipv6.sin6_scope_id);
  }
  readControls(header, isIPv6, record);
  return record;
}

/** Asks the kernel to send from the address in `record`. All zero leaves the choice to the kernel. */
void setSource(msghdr& header, bool isIPv6, const Record& record) {
  constexpr uint8_t unknown[16] = {};
  if (memcmp(record.local, unknown, sizeof unknown) == 0) return;
  if (isIPv6) {
    in6_pktinfo source{};
    memcpy(&source.ipi6_addr, record.local, 16);
    if (isLinkLocal(record.local)) source.ipi6_ifindex = static_cast<unsigned>(record.scope);
    appendControl(header, IPPROTO_IPV6, IPV6_PKTINFO, source);
  } else {
    in_pktinfo source{};
    memcpy(&source.ipi_spec_dst, record.local, 4);
    appendControl(header, IPPROTO_IP, IP_PKTINFO, source);
  }
}

}  // namespace

int32_t udpReceive(Environment&, int fd, Memory memory, int64_t at, int64_t stride, int64_t max, Words vec,
                   int64_t vecAt) {
  if (max < 0 || max > maxMessages || stride <= 0 || stride > INT32_MAX) return -EINVAL;
  if (!memory.holds(at, max * stride) || !vec.holds(vecAt, max * recordWords)) return -EFAULT;
  for (int64_t i = 0; i < max; i++) {
    batch.pieces[i] = {memory.data + at + i * stride, static_cast<size_t>(stride)};
    msghdr& header = batch.messages[i].msg_hdr;
    header = {};
    header.msg_name = &batch.addresses[i];
    header.msg_namelen = sizeof batch.addresses[i];
    header.msg_iov = &batch.pieces[i];
    header.msg_iovlen = 1;
    header.msg_control = batch.controls[i].bytes;
    header.msg_controllen = sizeof batch.controls[i].bytes;
  }
  const auto received =
      static_cast<int32_t>(retried([&] { return recvmmsg(fd, batch.messages, max, MSG_DONTWAIT, nullptr); }));
  if (received < 0) return received == -EAGAIN ? 0 : received;
  for (int32_t i = 0; i < received; i++) {
    const Record record = readMessage(batch.messages[i], at + i * stride);
    memcpy(vec.data + vecAt + i * recordWords, &record, sizeof record);
  }
  return received;
}

int32_t udpSend(Environment&, int fd, int family, Memory memory, Words vec, int64_t vecAt, int64_t messages) {
  if ((family != 4 && family != 6) || messages < 0 || messages > maxMessages) return -EINVAL;
  if (!vec.holds(vecAt, messages * recordWords)) return -EFAULT;
  int64_t used = 0;
  for (int64_t i = 0; i < messages; i++) {
    Record record;
    memcpy(&record, vec.data + vecAt + i * recordWords, sizeof record);
    if (record.length < 0 || record.length > IOV_MAX || used + record.length > maxMessagePieces) return -EINVAL;
    if (record.port < 0 || record.port > 0xffff) return -EINVAL;
    if (record.segmentSize < 0 || record.segmentSize > 0xffff) return -EINVAL;
    iovec* const pieces = batch.pieces + used;
    if (const int32_t error = gather(memory, vec, record.at, record.length, pieces)) return error;
    used += record.length;
    size_t total = 0;
    for (int32_t piece = 0; piece < record.length; piece++) total += pieces[piece].iov_len;

    msghdr& header = batch.messages[i].msg_hdr;
    header = {};
    header.msg_iov = pieces;
    header.msg_iovlen = record.length;
    header.msg_control = batch.controls[i].bytes;
    if (record.port != 0) {
      header.msg_name = &batch.addresses[i];
      header.msg_namelen = batch.addresses[i].assign(family == 6, record.address, record.port, record.scope);
    }
    setSource(header, family == 6, record);
    if (record.segmentSize > 0 && static_cast<size_t>(record.segmentSize) < total) {
      appendControl(header, IPPROTO_UDP, UDP_SEGMENT, static_cast<uint16_t>(record.segmentSize));
    }
  }
  constexpr int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  return static_cast<int32_t>(retried([&] { return sendmmsg(fd, batch.messages, messages, flags); }));
}
