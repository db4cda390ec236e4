#include <sys/eventfd.h>
#include <unistd.h>

#include "exports.h"

int32_t eventOpen(Environment& environment) {
  return environment.own(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

int32_t eventRing(Environment&, int fd) {
  const uint64_t one = 1;
  // A counter that is full has been rung already.
  return write(fd, &one, sizeof one) < 0 && errno != EAGAIN ? -errno : 0;
}

double eventDrain(Environment&, int fd) {
  uint64_t count;
  if (read(fd, &count, sizeof count) < 0) return errno == EAGAIN ? 0 : -errno;
  return static_cast<double>(count);
}
