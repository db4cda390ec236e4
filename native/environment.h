#pragma once

#include <napi.h>

#include <cstdint>
#include <set>
#include <vector>

/** `length` items in a row. A length of -1 stands for memory that is not there: it holds no range. */
template <typename Item>
struct Range {
  Item* data = nullptr;
  int64_t length = -1;

  bool holds(int64_t at, int64_t count) const { return at >= 0 && count >= 0 && at <= length - count; }
};

using Memory = Range<uint8_t>;
/** An arena read as native-endian 32-bit words. */
using Words = Range<int32_t>;

/** Sets `memory` to the bytes of a Uint8Array; a detached one has none. False for any other value. */
bool viewBytes(napi_env env, napi_value value, Memory& memory, napi_value* buffer = nullptr);

/** The arenas and descriptors of one Node.js environment (the main thread or a worker). */
class Environment {
 public:
  explicit Environment(napi_env env) : env(env) {}
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  /** Closes every descriptor that is still open. */
  ~Environment();

  /** Registers a Uint8Array: the arena's number, or -1 when `value` is something else. */
  int32_t openArena(napi_value value);
  bool closeArena(int64_t arena);
  Memory arena(int64_t arena) const;

  /** Takes over a descriptor that a system call has just opened. The -1 of a call that failed becomes -errno. */
  int32_t own(int result);
  int32_t closeOwned(int fd);

  const napi_env env;

 private:
  struct Arena {
    napi_ref owner;
    /** Absent for an ArrayBuffer: it can be detached or resized at any time, so its bytes are looked up on every use.
     */
    Memory shared;
  };

  /** Indexed by arena. A number is not given out twice, so that a stale one never names other memory. */
  std::vector<Arena> arenas_;
  std::set<int> descriptors_;
};
