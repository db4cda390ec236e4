#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

union SocketAddress {
  sockaddr any;
  sockaddr_in ipv4;
  sockaddr_in6 ipv6;

  /** Sets the address (4 or 16 bytes) and port (host order); `scope` counts for IPv6 only. The length for system calls.
   */
  socklen_t assign(bool isIPv6, const uint8_t* address, uint16_t port, uint32_t scope) {
    if (isIPv6) {
      ipv6 = {AF_INET6, htons(port), 0, {}, scope};
      memcpy(&ipv6.sin6_addr, address, sizeof ipv6.sin6_addr);
      return sizeof ipv6;
    }
    ipv4 = {AF_INET, htons(port), {}, {}};
    memcpy(&ipv4.sin_addr, address, sizeof ipv4.sin_addr);
    return sizeof ipv4;
  }
};
