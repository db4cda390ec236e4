#include <sys/socket.h>
#include <unistd.h>

#include "checksum.h"
#include "exports.h"
#include "io.h"

namespace {

/** Each packet of a batch starts at a multiple of this many bytes, a cache line. */
constexpr int64_t packetAlignment = 64;

}  // namespace

int32_t pairOpen(Environment& environment, napi_value out) {
  napi_typedarray_type type;
  size_t length;
  void* data;
  if (napi_get_typedarray_info(environment.env, out, &type, &length, &data, nullptr, nullptr) != napi_ok) {
    return -EINVAL;
  }
  if (type != napi_int32_array || length < 2) return -EINVAL;
  int* const ends = static_cast<int*>(data);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) return -errno;
  environment.own(ends[0]);
  environment.own(ends[1]);
  return 0;
}

int64_t readOne(Environment&, int fd, Memory memory, int64_t at, int64_t length) {
  if (!memory.holds(at, length)) return -EFAULT;
  return retried([&] { return read(fd, memory.data + at, length); });
}

int64_t writeOne(Environment&, int fd, Memory memory, int64_t at, int64_t length) {
  if (!memory.holds(at, length)) return -EFAULT;
  return retried([&] { return write(fd, memory.data + at, length); });
}

int32_t readBatch(Environment&, int fd, Memory memory, int64_t at, int64_t end, int64_t room, Words vec, int64_t vecAt,
                  int64_t max, int64_t sumsAt) {
  if (room <= 0 || max < 0 || end < at) return -EINVAL;
  if (!memory.holds(at, end - at) || !vec.holds(vecAt, 2 * max)) return -EFAULT;
  const bool summing = sumsAt >= 0;
  if (summing && !vec.holds(sumsAt, max)) return -EFAULT;
  int32_t* pair = vec.data + vecAt;
  int32_t packets = 0;
  for (; packets < max; packets++) {
    at = (at + packetAlignment - 1) / packetAlignment * packetAlignment;
    if (end - at < room) break;
    const int64_t length = retried([&] { return read(fd, memory.data + at, room); });
    if (length <= 0) {
      if (packets > 0 || length == -EAGAIN) break;
      // When the other end of a pair closes with unread packets, the first read answers ECONNRESET; later ones answer
      // 0.
      return length == 0 || length == -ECONNRESET ? -EPIPE : static_cast<int32_t>(length);
    }
    *pair++ = static_cast<int32_t>(at);
    *pair++ = static_cast<int32_t>(length);
    // The packet was just read, so it still is in the nearest cache.
    if (summing) vec.data[sumsAt + packets] = static_cast<int32_t>(onesComplementSum(memory.data + at, length, 0));
    at += length;
  }
  return packets;
}

int64_t writeGather(Environment&, int fd, Memory head, int64_t headAt, int64_t headLength, Memory body, Words vec,
                    int64_t vecAt, int64_t pieces) {
  if (pieces > maxPieces) return -EINVAL;
  if (!head.holds(headAt, headLength)) return -EFAULT;
  iovec parts[1 + maxPieces];
  parts[0] = {head.data + headAt, static_cast<size_t>(headLength)};
  if (const int32_t error = gather(body, vec, vecAt, pieces, parts + 1)) return error;
  return retried([&] { return writev(fd, parts, static_cast<int>(1 + pieces)); });
}
