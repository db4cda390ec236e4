#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <netpacket/packet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <vector>

#include "exports.h"
#include "io.h"
#include "scoped_descriptor.h"

namespace {

ifreq requestFor(const Name& name) {
  ifreq request{};
  memcpy(request.ifr_name, name.text, IFNAMSIZ);
  return request;
}

}  // namespace

int32_t linkUp(Environment&, Name name, int mtu, int txQueueLength) {
  ScopedDescriptor any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (any < 0) return -errno;
  ifreq request = requestFor(name);
  request.ifr_mtu = mtu;
  if (mtu != 0 && ioctl(any, SIOCSIFMTU, &request) < 0) return -errno;
  request = requestFor(name);
  request.ifr_qlen = txQueueLength;
  if (txQueueLength != 0 && ioctl(any, SIOCSIFTXQLEN, &request) < 0) return -errno;
  request = requestFor(name);
  if (ioctl(any, SIOCGIFFLAGS, &request) < 0) return -errno;
  request.ifr_flags |= IFF_UP;
  return ioctl(any, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

int32_t netlinkOpen(Environment& environment, uint32_t groups) {
  ScopedDescriptor netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (netlink < 0) return -errno;
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (bind(netlink, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) return -errno;
  return environment.own(netlink.release());
}

int32_t sniffOpen(Environment& environment, Bytes filter) {
  if (filter.length <= 0 || filter.length % sizeof(sock_filter) != 0) return -EINVAL;
  const auto instructions = static_cast<size_t>(filter.length) / sizeof(sock_filter);
  if (instructions > BPF_MAXINSNS) return -EINVAL;
  std::vector<sock_filter> program(instructions);
  memcpy(program.data(), filter.data, filter.length);
  const sock_fprog attached = {static_cast<uint16_t>(instructions), program.data()};
  // With protocol 0 the socket receives nothing until `bind`, when its filter is there.
  ScopedDescriptor sniffer(socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (sniffer < 0) return -errno;
  if (setsockopt(sniffer, SOL_SOCKET, SO_ATTACH_FILTER, &attached, sizeof attached) < 0) return -errno;
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  if (bind(sniffer, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) return -errno;
  return environment.own(sniffer.release());
}

int64_t sniffRead(Environment&, int fd, Memory memory, int64_t at, int64_t length, Words vec, int64_t vecAt) {
  if (!memory.holds(at, length) || !vec.holds(vecAt, 2)) return -EFAULT;
  sockaddr_ll from{};
  socklen_t fromLength = sizeof from;
  const int64_t result = retried(
      [&] { return recvfrom(fd, memory.data + at, length, 0, reinterpret_cast<sockaddr*>(&from), &fromLength); });
  vec.data[vecAt] = from.sll_ifindex;
  vec.data[vecAt + 1] = from.sll_pkttype == PACKET_OUTGOING;
  return result;
}

int32_t captureOpen(Environment& environment, Name interface, int receiveBuffer) {
  const unsigned index = if_nametoindex(interface.text);
  if (index == 0) return -errno;
  // With protocol 0 the socket receives nothing until `bind`, so no packet of another interface slips in.
  ScopedDescriptor capture(socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (capture < 0) return -errno;
  const int32_t buffers = socketBuffers(environment, capture, receiveBuffer, 0);
  if (buffers < 0) return buffers;
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(index);
  if (bind(capture, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) return -errno;
  return environment.own(capture.release());
}
