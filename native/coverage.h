#pragma once
#ifdef FAKE_TCP_COVERAGE
#include <napi.h>

// A Uint8Array over the counters. The reader sets them back to 0.
Napi::Value coverage(const Napi::CallbackInfo& info);
#endif
