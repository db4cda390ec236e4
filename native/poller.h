#pragma once

#include <napi.h>
#include <uv.h>

#include "environment.h"

/**
 * An epoll set whose descriptor the event loop polls: libuv needs one handle and one callback for many descriptors. An
 * open Poller keeps itself alive, whether or not JavaScript still refers to it.
 */
class Poller : public Napi::ObjectWrap<Poller> {
 public:
  static Napi::Function define(Napi::Env env, Environment& environment);

  explicit Poller(const Napi::CallbackInfo& info);
  ~Poller() override;

 private:
  /** The part that libuv refers to. It lives until libuv's close callback has run, longer than the Poller. */
  struct Watch;

  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value modify(const Napi::CallbackInfo& info);
  Napi::Value remove(const Napi::CallbackInfo& info);
  void ref(const Napi::CallbackInfo& info);
  void unref(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  Napi::Value control(const Napi::CallbackInfo& info, int operation);
  /** One turn: writes the pairs of ready descriptors to `vec` and calls onReady. */
  void deliver();
  /** Has libuv close the watch. Idempotent. */
  void stop();
  /** Stops, and releases itself and onReady, which may refer to this Poller. */
  void end();

  Environment& environment_;
  int32_t vec_ = -1;
  int32_t capacity_ = 0;
  Napi::FunctionReference onReady_;
  Napi::AsyncContext context_;
  Watch* watch_ = nullptr;
};
