#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <netpacket/packet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "exports.h"
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

int32_t captureOpen(Environment& environment, Name interface, int receiveBuffer) {
  const unsigned index = if_nametoindex(interface.text);
  if (index == 0) return -errno;
  // Protocol 0 keeps the socket deaf until it is bound, so that no packet of another interface slips in.
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
