#pragma once

#include <napi.h>

#include <cstdint>
#include <set>
#include <vector>

/** `length` items in a row. A length of -1 stands for memory that is not there: every range is outside of it. */
template <typename Item>
struct Range {
  Item* data = nullptr;
  int64_t length = -1;

  bool holds(int64_t at, int64_t count) const { return at >= 0 && count >= 0 && at <= length - count; }
};

using Memory = Range<uint8_t>;
/** An arena read as native-endian 32-bit words. */
using Words = Range<int32_t>;

/** The bytes of a Uint8Array, detached or not; false for any other value. */
bool viewBytes(napi_env env, napi_value value, Memory& memory, napi_value* buffer = nullptr);

/** What one Node.js environment (the main thread or a worker) has registered and opened. */
class Environment {
 public:
  explicit Environment(napi_env env) : env(env) {}
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  /** Closes every descriptor that is still open. */
  ~Environment();

  /** Registers a Uint8Array; its arena, or -1 when `value` is something else. */
  int32_t openArena(napi_value value);
  bool closeArena(int64_t arena);
  Memory arena(int64_t arena) const;

  /** Remembers a descriptor just opened; `result` may be the -1 of a failed call, which turns into -errno. */
  int32_t own(int result);
  int32_t closeOwned(int fd);

  const napi_env env;

 private:
  struct Arena {
    napi_ref owner;
    /** Absent for an ArrayBuffer, which can be detached or resized at any time: its bytes are looked up on every use.
     */
    Memory shared;
  };

  /** Indexed by arena. Slots are not used twice, so that a stale number never names other memory. */
  std::vector<Arena> arenas_;
  std::set<int> descriptors_;
};
