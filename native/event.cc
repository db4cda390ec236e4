#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "exports.h"

int32_t eventOpen(Environment& environment) {
  return environment.own(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

int32_t eventRing(Environment&, int fd) {
  const uint64_t one = 1;
  // EAGAIN: the counter is full, so the event has been rung already.
  return write(fd, &one, sizeof one) < 0 && errno != EAGAIN ? -errno : 0;
}

double eventDrain(Environment&, int fd) {
  uint64_t count;
  if (read(fd, &count, sizeof count) < 0) return errno == EAGAIN ? 0 : -errno;
  return static_cast<double>(count);
}

int32_t timerOpen(Environment& environment) {
  return environment.own(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
}

int32_t timerSet(Environment&, int fd, int64_t microseconds) {
  if (microseconds < 0) return -EINVAL;
  const timespec period = {microseconds / 1'000'000, microseconds % 1'000'000 * 1'000};
  const itimerspec setting = {period, period};
  return timerfd_settime(fd, 0, &setting, nullptr) < 0 ? -errno : 0;
}
