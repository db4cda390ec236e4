#include <net/if.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "exports.h"
#include "scoped_descriptor.h"
#include "socket_address.h"

// Kernel interface numbers that older C library headers lack.
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace {

bool setOption(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/** Calls bind() or connect() with an address of 4 or 16 bytes: 0 or -errno. */
int32_t withAddress(int (*call)(int, const sockaddr*, socklen_t), int fd, const Bytes& address, int port,
                    uint32_t scope) {
  if ((address.length != 4 && address.length != 16) || port < 0 || port > 0xffff) return -EINVAL;
  SocketAddress to;
  const socklen_t length = to.assign(address.length == 16, address.data, static_cast<uint16_t>(port), scope);
  return call(fd, &to.any, length) < 0 ? -errno : 0;
}

}  // namespace

int32_t udpOpen(Environment& environment, int family, int flags) {
  constexpr int reusePort = 1, packetInfo = 2, gro = 4, v6Only = 8, segment = 16;  // UdpFlag in src/native.ts
  if (family != 4 && family != 6) return -EINVAL;
  const bool isIPv6 = family == 6;
  ScopedDescriptor fd(socket(isIPv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd < 0) return -errno;
  if (isIPv6 && !setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, (flags & v6Only) != 0)) return -errno;
  if ((flags & reusePort) && !setOption(fd, SOL_SOCKET, SO_REUSEPORT, 1)) return -errno;
  if (flags & packetInfo) {
    if (isIPv6 && !setOption(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)) return -errno;
    // An IPv6 socket needs it too: only IP_PKTINFO tells which address answers to IPv4 broadcasts must come from.
    const bool hasIPv4 = !isIPv6 || !(flags & v6Only);
    if (hasIPv4 && !setOption(fd, IPPROTO_IP, IP_PKTINFO, 1)) return -errno;
  }
  if ((flags & gro) && !setOption(fd, IPPROTO_UDP, UDP_GRO, 1)) return -errno;
  // A segment size of 0 cuts nothing, as without the option. A kernel that does not know the option refuses it.
  if ((flags & segment) && !setOption(fd, IPPROTO_UDP, UDP_SEGMENT, 0)) return -errno;
  return environment.own(fd.release());
}

int32_t udpBind(Environment&, int fd, Bytes address, int port, uint32_t scope) {
  return withAddress(bind, fd, address, port, scope);
}

int32_t udpConnect(Environment&, int fd, Bytes address, int port, uint32_t scope) {
  return withAddress(connect, fd, address, port, scope);
}

int32_t udpDisconnect(Environment&, int fd) {
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  return connect(fd, &nobody, sizeof nobody) < 0 ? -errno : 0;
}

int32_t udpAddress(Environment&, int fd, Bytes out) {
  SocketAddress address;
  socklen_t length = sizeof address;
  if (getsockname(fd, &address.any, &length) < 0) return -errno;
  const bool isIPv6 = address.any.sa_family == AF_INET6;
  if (!isIPv6 && address.any.sa_family != AF_INET) return -EAFNOSUPPORT;
  const int32_t size = isIPv6 ? 16 : 4;
  if (!out.holds(0, size)) return -EFAULT;
  memcpy(out.data, isIPv6 ? static_cast<void*>(&address.ipv6.sin6_addr) : &address.ipv4.sin_addr, size);
  return size;
}

int32_t udpPort(Environment&, int fd) {
  SocketAddress address;
  socklen_t length = sizeof address;
  if (getsockname(fd, &address.any, &length) < 0) return -errno;
  if (address.any.sa_family == AF_INET) return ntohs(address.ipv4.sin_port);
  return address.any.sa_family == AF_INET6 ? ntohs(address.ipv6.sin6_port) : -EAFNOSUPPORT;
}

int32_t socketBuffers(Environment&, int fd, int receive, int send) {
  if (receive < 0 || send < 0) return -EINVAL;
  const auto set = [fd](int size, int forced, int plain) {
    return size == 0 || setOption(fd, SOL_SOCKET, forced, size) || setOption(fd, SOL_SOCKET, plain, size);
  };
  const bool done = set(receive, SO_RCVBUFFORCE, SO_RCVBUF) && set(send, SO_SNDBUFFORCE, SO_SNDBUF);
  return done ? 0 : -errno;
}

int32_t interfaceIndex(Environment&, Name name) {
  const unsigned index = if_nametoindex(name.text);
  return index == 0 ? -errno : static_cast<int32_t>(index);
}

napi_value interfaceName(Environment& environment, int index) {
  char name[IFNAMSIZ];
  if (if_indextoname(static_cast<unsigned>(index), name) == nullptr) return answer(environment.env, -errno);
  napi_value text;
  napi_create_string_utf8(environment.env, name, NAPI_AUTO_LENGTH, &text);
  return text;
}
