#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <netpacket/packet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "exports.h"
#include "io.h"
#include "scoped_descriptor.h"

namespace {

/** An RTM_NEWADDR message; attributes follow one another in `attributes`. */
struct AddressRequest {
  nlmsghdr header;
  ifaddrmsg message;
  uint8_t attributes[2 * RTA_SPACE(16) + RTA_SPACE(4)];

  void append(uint16_t type, const void* value, size_t length) {
    const rtattr attribute = {static_cast<uint16_t>(RTA_LENGTH(length)), type};
    uint8_t* const to = reinterpret_cast<uint8_t*>(this) + NLMSG_ALIGN(header.nlmsg_len);
    memcpy(to, &attribute, sizeof attribute);
    memcpy(to + RTA_LENGTH(0), value, length);
    header.nlmsg_len = NLMSG_ALIGN(header.nlmsg_len) + RTA_SPACE(length);
  }
};

/** Sends one request to the kernel's routing socket and waits for its acknowledgement: 0 or -errno. */
int32_t transact(const nlmsghdr& request) {
  ScopedDescriptor netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (netlink < 0) return -errno;
  if (send(netlink, &request, request.nlmsg_len, 0) < 0) return -errno;
  struct {
    nlmsghdr header;
    nlmsgerr error;
    uint8_t rest[1024];  // a refusal repeats the request and may explain itself
  } reply;
  const int64_t length = retried([&] { return recv(netlink, &reply, sizeof reply, 0); });
  if (length < 0) return static_cast<int32_t>(length);
  const bool acknowledged = length >= int64_t{NLMSG_LENGTH(sizeof(nlmsgerr))} && reply.header.nlmsg_type == NLMSG_ERROR;
  return acknowledged ? reply.error.error : -EPROTO;
}

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

int32_t linkAddress(Environment&, Name name, Bytes local, Bytes peer, int prefixLength) {
  if ((local.length != 4 && local.length != 16) || peer.length != local.length) return -EINVAL;
  if (prefixLength < 0 || prefixLength > local.length * 8) return -EINVAL;
  const unsigned index = if_nametoindex(name.text);
  if (index == 0) return -errno;

  AddressRequest request{};
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof request.message);
  request.header.nlmsg_type = RTM_NEWADDR;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  request.message.ifa_family = local.length == 4 ? AF_INET : AF_INET6;
  request.message.ifa_prefixlen = static_cast<uint8_t>(prefixLength);
  request.message.ifa_index = index;
  // Nobody else is on a point-to-point link, and a tentative address could not be bound for a second.
  const uint32_t flags = IFA_F_NODAD;
  request.append(IFA_LOCAL, local.data, local.length);
  request.append(IFA_ADDRESS, peer.data, peer.length);
  request.append(IFA_FLAGS, &flags, sizeof flags);
  return transact(request.header);
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
