#include <fcntl.h>
#include <time.h>

#include "checksum.h"
#include "exports.h"

int32_t arenaOpen(Environment& environment, napi_value bytes) {
  const int32_t arena = environment.openArena(bytes);
  return arena < 0 ? -EINVAL : arena;
}

int32_t arenaClose(Environment& environment, int64_t arena) {
  return environment.closeArena(arena) ? 0 : -EFAULT;
}

int64_t copy(Environment&, Memory to, int64_t toAt, Memory from, int64_t fromAt, int64_t length) {
  if (!to.holds(toAt, length) || !from.holds(fromAt, length)) return -EFAULT;
  if (length > 0) memmove(to.data + toAt, from.data + fromAt, length);
  return length;
}

int32_t moveBatch(Environment&, Memory memory, Words vec, int64_t vecAt, int64_t moves) {
  if (moves < 0 || !vec.holds(vecAt, 3 * moves)) return -EFAULT;
  for (const int32_t* move = vec.data + vecAt; moves > 0; moves--, move += 3) {
    const int64_t to = move[0];
    const int64_t from = move[1];
    const int64_t length = move[2];
    if (!memory.holds(to, length) || !memory.holds(from, length)) return -EFAULT;
    memmove(memory.data + to, memory.data + from, length);
  }
  return 0;
}

int32_t checksum(Environment&, Memory memory, int64_t at, int64_t length, uint32_t initial) {
  if (!memory.holds(at, length)) return -EFAULT;
  return static_cast<int32_t>(onesComplementSum(memory.data + at, length, initial));
}

double clockNow(Environment&) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

int32_t duplicate(Environment& environment, int fd) {
  return environment.own(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

int32_t closeDescriptor(Environment& environment, int fd) {
  return environment.closeOwned(fd);
}
