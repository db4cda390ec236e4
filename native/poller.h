#pragma once

#include <napi.h>
#include <uv.h>

#include "environment.h"

/**
 * An epoll set whose descriptor the event loop polls, so that many descriptors cost libuv a single handle and one
 * callback. While it is open it keeps itself alive, whether or not JavaScript still refers to it.
 */
class Poller : public Napi::ObjectWrap<Poller> {
 public:
  static Napi::Function define(Napi::Env env, Environment& environment);

  explicit Poller(const Napi::CallbackInfo& info);
  ~Poller() override;

 private:
  /** What libuv holds on to: it outlives the Poller until libuv's close callback has run. */
  struct Watch;

  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value modify(const Napi::CallbackInfo& info);
  Napi::Value remove(const Napi::CallbackInfo& info);
  void ref(const Napi::CallbackInfo& info);
  void unref(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  Napi::Value control(const Napi::CallbackInfo& info, int operation);
  /** One turn: moves ready pairs to `vec` and tells JavaScript. */
  void deliver();
  /** Gives the watch back to libuv; idempotent. */
  void stop();
  /** Stops, and lets go of itself and of onReady, which may well refer to this Poller. */
  void end();

  Environment& environment_;
  int32_t vec_ = -1;
  int32_t capacity_ = 0;
  Napi::FunctionReference onReady_;
  Napi::AsyncContext context_;
  Watch* watch_ = nullptr;
};
