#pragma once

#include <limits.h>
#include <sys/uio.h>

#include "call.h"

/** Pieces that fit one system call together with a header. */
constexpr int64_t maxPieces = IOV_MAX - 1;

/** Fills `to` from pairs (byte offset, length) in `vec`: 0, or -EFAULT when one of them lies outside of `memory`. */
inline int32_t gather(const Memory& memory, const Words& vec, int64_t vecAt, int64_t pieces, iovec* to) {
  if (pieces < 0 || !vec.holds(vecAt, 2 * pieces)) return -EFAULT;
  const int32_t* word = vec.data + vecAt;
  for (const iovec* const end = to + pieces; to != end; to++, word += 2) {
    // Other threads may write the words meanwhile: what was checked is what is used.
    const int64_t at = __atomic_load_n(word, __ATOMIC_RELAXED);
    const int64_t length = __atomic_load_n(word + 1, __ATOMIC_RELAXED);
    if (!memory.holds(at, length)) return -EFAULT;
    *to = {memory.data + at, static_cast<size_t>(length)};
  }
  return 0;
}

/** Repeats a system call that a signal interrupted; its result, or -errno. */
template <typename Call>
inline int64_t retried(Call call) {
  for (;;) {
    const int64_t result = call();
    if (result >= 0) return result;
    if (errno != EINTR) return -errno;
  }
}
