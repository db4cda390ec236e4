#pragma once

#include <net/if.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <tuple>

#include "environment.h"

/*
 * Turns JavaScript arguments into the typed parameters of a C++ function, and its result into a JavaScript value,
 * without allocation. Every `parse` answers false for a value of the wrong type; JavaScript gets -EINVAL then.
 */

/** A network interface name that fits with its terminating zero. */
struct Name {
  // Node-API cuts a longer string between two characters. With room for one more (4 bytes), what it cuts is still too
  // long.
  char text[IFNAMSIZ + 4];
};

/** A Uint8Array, where no arena is accepted. */
struct Bytes : Memory {};

/** Takes a whole number. One beyond 2^53 becomes 2^53, which lies outside of every range. */
inline bool parse(Environment& environment, napi_value value, int64_t& out) {
  double number;
  if (napi_get_value_double(environment.env, value, &number) != napi_ok || std::isnan(number)) return false;
  constexpr double bound = 0x1p53;
  number = number > bound ? bound : number < -bound ? -bound : number;
  out = static_cast<int64_t>(number);
  return static_cast<double>(out) == number;
}

template <typename Integer>
requires(sizeof(Integer) == 4) inline bool parse(Environment& environment, napi_value value, Integer& out) {
  int64_t number;
  if (!parse(environment, value, number)) return false;
  out = static_cast<Integer>(number);
  return out == number;
}

inline bool parse(Environment& environment, napi_value value, Memory& out) {
  int64_t arena;
  if (!parse(environment, value, arena)) return viewBytes(environment.env, value, out);
  out = environment.arena(arena);
  return true;
}

inline bool parse(Environment& environment, napi_value value, Bytes& out) {
  return viewBytes(environment.env, value, out);
}

inline bool parse(Environment& environment, napi_value value, Words& out) {
  int64_t arena;
  if (!parse(environment, value, arena)) return false;
  const Memory memory = environment.arena(arena);
  const bool aligned = reinterpret_cast<uintptr_t>(memory.data) % alignof(int32_t) == 0;
  if (memory.length >= 0 && aligned) out = {reinterpret_cast<int32_t*>(memory.data), memory.length / 4};
  return true;
}

inline bool parse(Environment& environment, napi_value value, Name& out) {
  size_t length;
  if (napi_get_value_string_utf8(environment.env, value, out.text, sizeof out.text, &length) != napi_ok) return false;
  return length < IFNAMSIZ && strlen(out.text) == length;
}

inline bool parse(Environment&, napi_value value, napi_value& out) {
  out = value;
  return true;
}

inline napi_value answer(napi_env env, int32_t number) {
  napi_value value;
  return napi_create_int32(env, number, &value) == napi_ok ? value : nullptr;
}

inline napi_value answer(napi_env env, int64_t number) {
  napi_value value;
  return napi_create_int64(env, number, &value) == napi_ok ? value : nullptr;
}

inline napi_value answer(napi_env env, double number) {
  napi_value value;
  return napi_create_double(env, number, &value) == napi_ok ? value : nullptr;
}

inline napi_value answer(napi_env, napi_value value) {
  return value;
}

/** The Node-API callback of a C++ function. */
template <auto Function>
struct Binding;

template <typename Result, typename... Parameters, Result (*Function)(Environment&, Parameters...)>
struct Binding<Function> {
  static napi_value call(napi_env env, napi_callback_info info) {
    napi_value values[sizeof...(Parameters) + 1];
    size_t count = sizeof...(Parameters);
    void* data;
    if (napi_get_cb_info(env, info, &count, values, nullptr, &data) != napi_ok) return nullptr;
    Environment& environment = *static_cast<Environment*>(data);
    return std::apply(
        [&](auto... parameters) {
          const napi_value* next = values;
          const bool valid = (parse(environment, *next++, parameters) && ...);
          return valid ? answer(env, Function(environment, parameters...)) : answer(env, -EINVAL);
        },
        std::tuple<Parameters...>());
  }
};
