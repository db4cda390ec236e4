#pragma once

#include <limits.h>
#include <sys/uio.h>

#include "call.h"

/** Maximum number of pieces that one system call takes besides a header. */
constexpr int64_t maxPieces = IOV_MAX - 1;

/** Fills `to` from pairs (byte offset, length) in `vec`: 0, or -EFAULT when a piece lies outside of `memory`. */
inline int32_t gather(const Memory& memory, const Words& vec, int64_t vecAt, int64_t pieces, iovec* to) {
  if (pieces < 0 || !vec.holds(vecAt, 2 * pieces)) return -EFAULT;
  const int32_t* word = vec.data + vecAt;
  for (const iovec* const end = to + pieces; to != end; to++, word += 2) {
    // Another thread may write the words meanwhile. Each is read once, so that the value that was checked is the one
    // used.
    const int64_t at = __atomic_load_n(word, __ATOMIC_RELAXED);
    const int64_t length = __atomic_load_n(word + 1, __ATOMIC_RELAXED);
    if (!memory.holds(at, length)) return -EFAULT;
    *to = {memory.data + at, static_cast<size_t>(length)};
  }
  return 0;
}

/** Makes a system call, again if a signal interrupts it. Its result, or -errno. */
template <typename Call>
inline int64_t retried(Call call) {
  for (;;) {
    const int64_t result = call();
    if (result >= 0) return result;
    if (errno != EINTR) return -errno;
  }
}
