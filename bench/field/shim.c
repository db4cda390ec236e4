// Makes a good kernel behave like an older or a broken one, for a program that this library is preloaded into.
//
// The file that FAKE_TCP_SHIM names says which faults are active, and may change while the program runs. It has a
// record of two 32-bit numbers for each fault of `enum fault`, in that order (bench/field/shim.ts has the same list).
// The first number is the errno to answer, 0 while the fault is off. The second one counts how often the fault struck.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum fault {
  UDP_GRO_MISSING,       // before Linux 5.0: the socket option is unknown
  UDP_SEGMENT_MISSING,   // before Linux 4.18: the option is unknown, the control message is ignored
  UDP_SEGMENT_REFUSED,   // a device without checksum offload (EIO), a kernel that changed its mind (EINVAL, EOPNOTSUPP)
  TUN_GSO_REMAINDER,     // a super-packet that is no multiple, or whose last segment is no longer than the headers
  TUN_GSO,               // any super-packet
  TUN_MULTI_QUEUE,       // flags of TUNSETIFF
  TUN_VNET_HDR,
  TUN_EXCL,
  TUN_OFFLOAD,           // TUNSETOFFLOAD
  IPV6_MISSING,          // ipv6.disable=1
  FAULTS
};

struct record {
  int32_t error;
  uint32_t hits;
};

static struct record *records;

__attribute__((constructor)) static void start(void) {
  static struct record none[FAULTS];
  records = none;
  const char *path = getenv("FAKE_TCP_SHIM");
  const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *memory = mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory != MAP_FAILED) records = memory;
  close(fd);
}

/** Whether this fault is on. If so, it is counted and errno is set. */
static int strikes(enum fault fault) {
  const int error = __atomic_load_n(&records[fault].error, __ATOMIC_RELAXED);
  if (error == 0) return 0;
  __atomic_fetch_add(&records[fault].hits, 1, __ATOMIC_RELAXED);
  errno = error;
  return 1;
}

static int is_on(enum fault fault) { return __atomic_load_n(&records[fault].error, __ATOMIC_RELAXED) != 0; }

// The functions of the C library that the program would have called.
#define REAL(name)                                   \
  static __typeof__(name) *real;                     \
  if (real == NULL) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int is_tun(int fd) {
  struct stat about;
  return fstat(fd, &about) == 0 && S_ISCHR(about.st_mode) && about.st_rdev == makedev(10, 200);
}

/** Whether a write of this packet to a TUN device fails. Super-packets begin with a virtio-net header. */
static int refuses_packet(int fd, const struct iovec *parts, int count) {
  if ((!is_on(TUN_GSO) && !is_on(TUN_GSO_REMAINDER)) || count == 0 || !is_tun(fd)) return 0;
  int header_size = 0;
  const struct virtio_net_hdr *header = parts[0].iov_base;
  if (parts[0].iov_len < sizeof *header || ioctl(fd, TUNGETVNETHDRSZ, &header_size) < 0) return 0;
  if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE) return 0;
  size_t length = 0;
  for (int i = 0; i < count; i++) length += parts[i].iov_len;
  const size_t rest = header->gso_size == 0 ? 0 : (length - header_size) % header->gso_size;
  if (rest != 0 && rest <= header->csum_start + 20u && strikes(TUN_GSO_REMAINDER)) return 1;
  return strikes(TUN_GSO);
}

/** A request for an IPv6 address, which a kernel without IPv6 does not know. */
static int is_ipv6_address(const void *data, size_t length) {
  const struct nlmsghdr *header = data;
  if (!is_on(IPV6_MISSING) || length < NLMSG_LENGTH(sizeof(struct ifaddrmsg)) || length > 4096) return 0;
  const struct ifaddrmsg *address = NLMSG_DATA((struct nlmsghdr *)data);
  return header->nlmsg_len == length && header->nlmsg_type == RTM_NEWADDR && address->ifa_family == AF_INET6;
}

ssize_t write(int fd, const void *data, size_t length) {
  REAL(write);
  const struct iovec part = {(void *)data, length};
  if (refuses_packet(fd, &part, 1)) return -1;
  if (!is_ipv6_address(data, length)) return real(fd, data, length);
  strikes(IPV6_MISSING);
  // A family that no kernel has: the kernel itself answers EOPNOTSUPP.
  char copy[4096];
  memcpy(copy, data, length);
  ((struct ifaddrmsg *)NLMSG_DATA((struct nlmsghdr *)copy))->ifa_family = AF_MAX - 1;
  return real(fd, copy, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(writev);
  return refuses_packet(fd, parts, count) ? -1 : real(fd, parts, count);
}

int ioctl(int fd, unsigned long request, ...) {
  REAL(ioctl);
  va_list list;
  va_start(list, request);
  void *argument = va_arg(list, void *);
  va_end(list);
  if (request == TUNSETIFF) {
    const int flags = ((struct ifreq *)argument)->ifr_flags;
    if ((flags & IFF_MULTI_QUEUE) && strikes(TUN_MULTI_QUEUE)) return -1;
    if ((flags & IFF_VNET_HDR) && strikes(TUN_VNET_HDR)) return -1;
    if ((flags & IFF_TUN_EXCL) && strikes(TUN_EXCL)) return -1;
  }
  if (request == TUNSETOFFLOAD && argument != NULL && strikes(TUN_OFFLOAD)) return -1;
  return real(fd, request, argument);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t length) {
  REAL(setsockopt);
  if (level == IPPROTO_UDP && option == UDP_GRO && strikes(UDP_GRO_MISSING)) return -1;
  if (level == IPPROTO_UDP && option == UDP_SEGMENT && strikes(UDP_SEGMENT_MISSING)) return -1;
  return real(fd, level, option, value, length);
}

int socket(int family, int type, int protocol) {
  REAL(socket);
  if (family == AF_INET6 && strikes(IPV6_MISSING)) return -1;
  return real(family, type, protocol);
}

static int asks_for_segments(struct msghdr *message) {
  for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control != NULL; control = CMSG_NXTHDR(message, control)) {
    if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_SEGMENT) return 1;
  }
  return 0;
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags) {
  REAL(sendmmsg);
  if (!is_on(UDP_SEGMENT_MISSING) && !is_on(UDP_SEGMENT_REFUSED)) return real(fd, messages, count, flags);
  // Messages go out one by one, so that those before a refused one are sent.
  for (unsigned int i = 0; i < count; i++) {
    struct mmsghdr one = messages[i];
    if (asks_for_segments(&one.msg_hdr)) {
      if (strikes(UDP_SEGMENT_REFUSED)) return i == 0 ? -1 : (int)i;
      // An old kernel sends the message as one large datagram.
      if (strikes(UDP_SEGMENT_MISSING)) one.msg_hdr.msg_controllen = 0;
    }
    const int sent = real(fd, &one, 1, flags);
    if (sent <= 0) return i == 0 ? sent : (int)i;
    messages[i].msg_len = one.msg_len;
  }
  return (int)count;
}
