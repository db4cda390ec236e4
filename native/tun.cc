#include <fcntl.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "exports.h"
#include "scoped_descriptor.h"

int32_t tunOpen(Environment& environment, Name name, int flags) {
  ScopedDescriptor device(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (device < 0) return -errno;
  ifreq request{};
  memcpy(request.ifr_name, name.text, IFNAMSIZ);
  request.ifr_flags = static_cast<int16_t>(IFF_TUN | IFF_NO_PI | flags);
  if (ioctl(device, TUNSETIFF, &request) < 0) return -errno;
  return environment.own(device.release());
}

int32_t tunAdopt(Environment& environment, int fd) {
  ifreq request{};
  if (ioctl(fd, TUNGETIFF, &request) < 0) return -errno;
  const int status = fcntl(fd, F_GETFL);
  if (status < 0 || fcntl(fd, F_SETFL, status | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return -errno;
  environment.own(fd);
  return static_cast<uint16_t>(request.ifr_flags);
}

napi_value tunName(Environment& environment, int fd) {
  ifreq request{};
  if (ioctl(fd, TUNGETIFF, &request) < 0) return answer(environment.env, -errno);
  napi_value name;
  const size_t length = strnlen(request.ifr_name, IFNAMSIZ);
  return napi_create_string_utf8(environment.env, request.ifr_name, length, &name) == napi_ok ? name : nullptr;
}

int32_t tunHeaderSize(Environment&, int fd, int bytes) {
  return ioctl(fd, TUNSETVNETHDRSZ, &bytes) < 0 ? -errno : 0;
}

int32_t tunOffload(Environment&, int fd, uint32_t offloads) {
  return ioctl(fd, TUNSETOFFLOAD, static_cast<unsigned long>(offloads)) < 0 ? -errno : 0;
}
