// Counts for the fuzzer how often each edge of the addon's code ran. Only builds with `--asan` and clang have it.
#ifdef FAKE_TCP_COVERAGE
#include "coverage.h"

namespace {
uint8_t* first = nullptr;
uint8_t* last = nullptr;
}  // namespace

// The loader calls it before anything else (clang, SanitizerCoverage: inline 8-bit counters).
extern "C" void __sanitizer_cov_8bit_counters_init(uint8_t* start, uint8_t* stop) {
  first = start;
  last = stop;
}

Napi::Value coverage(const Napi::CallbackInfo& info) {
  const size_t length = static_cast<size_t>(last - first);
  return Napi::Uint8Array::New(info.Env(), length, Napi::ArrayBuffer::New(info.Env(), first, length), 0);
}
#endif
