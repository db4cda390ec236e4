#include "poller.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "call.h"

namespace {

/** Maximum number of events taken in one turn. The set is level-triggered, so the rest comes in the next turn. */
constexpr int32_t maxEvents = 256;

}  // namespace

struct Poller::Watch {
  uv_poll_t handle;
  int epoll;
  Poller* poller;
  // Closes the handle when the environment ends (a worker that is terminated). Node.js aborts when a handle is left
  // open.
  napi_async_cleanup_hook_handle hook;
};

Napi::Function Poller::define(Napi::Env env, Environment& environment) {
  return DefineClass(env, "Poller",
                     {InstanceMethod<&Poller::add>("add"), InstanceMethod<&Poller::modify>("modify"),
                      InstanceMethod<&Poller::remove>("remove"), InstanceMethod<&Poller::ref>("ref"),
                      InstanceMethod<&Poller::unref>("unref"), InstanceMethod<&Poller::close>("close")},
                     &environment);
}

Poller::Poller(const Napi::CallbackInfo& info)
    : ObjectWrap(info), environment_(*static_cast<Environment*>(info.Data())), context_(info.Env(), "fake-tcp.Poller") {
  Words words;
  if (!parse(environment_, info[0], vec_) || !parse(environment_, info[0], words) ||
      !parse(environment_, info[1], capacity_) || !info[2].IsFunction()) {
    Napi::TypeError::New(info.Env(), "Poller takes (vec, capacity, onReady)").ThrowAsJavaScriptException();
    return;
  }
  if (capacity_ < 1 || !words.holds(0, 2 * int64_t{capacity_})) {
    Napi::RangeError::New(info.Env(), "Poller: vec has no room for capacity pairs").ThrowAsJavaScriptException();
    return;
  }
  uv_loop_t* loop;
  napi_get_uv_event_loop(info.Env(), &loop);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  auto* const watch = new Watch{{}, epoll, this, nullptr};
  const int error = epoll < 0 ? -errno : uv_poll_init(loop, &watch->handle, epoll);
  if (error < 0) {
    if (epoll >= 0) ::close(epoll);
    delete watch;
    Napi::Error::New(info.Env(), std::string("Poller: ") + uv_strerror(error)).ThrowAsJavaScriptException();
    return;
  }
  watch_ = watch;
  watch->handle.data = watch;
  onReady_ = Napi::Persistent(info[2].As<Napi::Function>());
  napi_add_async_cleanup_hook(
      info.Env(),
      [](napi_async_cleanup_hook_handle, void* data) {
        auto* const watch = static_cast<Watch*>(data);
        if (watch->poller) watch->poller->stop();
      },
      watch, &watch->hook);
  uv_poll_start(&watch->handle, UV_READABLE,
                [](uv_poll_t* handle, int, int) { static_cast<Watch*>(handle->data)->poller->deliver(); });
  Ref();
}

Poller::~Poller() {
  stop();
}

void Poller::stop() {
  Watch* const watch = std::exchange(watch_, nullptr);
  if (!watch) return;
  watch->poller = nullptr;
  uv_poll_stop(&watch->handle);
  ::close(watch->epoll);
  uv_close(reinterpret_cast<uv_handle_t*>(&watch->handle), [](uv_handle_t* handle) {
    auto* const watch = static_cast<Watch*>(handle->data);
    napi_remove_async_cleanup_hook(watch->hook);
    delete watch;
  });
}

void Poller::end() {
  if (!watch_) return;
  stop();
  onReady_.Reset();
  Unref();
}

void Poller::deliver() {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  // Keeps this Poller alive when onReady closes it.
  const Napi::Object self = Value();
  epoll_event events[maxEvents];
  const int count = epoll_wait(watch_->epoll, events, std::min(capacity_, maxEvents), 0);
  if (count <= 0) return;
  Words words;
  Napi::Value arena = Napi::Number::New(env, vec_);
  if (!parse(environment_, arena, words) || !words.holds(0, 2 * count)) {
    end();
    napi_fatal_exception(env, Napi::Error::New(env, "Poller: its vec arena was closed").Value());
    return;
  }
  for (int i = 0; i < count; i++) {
    words.data[2 * i] = events[i].data.fd;
    words.data[2 * i + 1] = static_cast<int32_t>(events[i].events);
  }
  const napi_value argument = Napi::Number::New(env, count);
  const napi_status status = napi_make_callback(env, context_, self, onReady_.Value(), 1, &argument, nullptr);
  bool isPending = false;
  if (status == napi_ok || napi_is_exception_pending(env, &isPending) != napi_ok || !isPending) return;
  napi_value error;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

Napi::Value Poller::control(const Napi::CallbackInfo& info, int operation) {
  int fd;
  int token = 0;
  int interest = 0;
  const auto answerWith = [&](int result) { return Napi::Number::New(info.Env(), result); };
  if (!parse(environment_, info[0], fd)) return answerWith(-EINVAL);
  if (operation != EPOLL_CTL_DEL) {
    if (!parse(environment_, info[1], token) || !parse(environment_, info[2], interest)) return answerWith(-EINVAL);
    if (interest & ~(EPOLLIN | EPOLLOUT)) return answerWith(-EINVAL);
  }
  if (!watch_) return answerWith(-EBADF);
  epoll_event event{};
  event.events = static_cast<uint32_t>(interest);
  event.data.fd = token;
  return answerWith(epoll_ctl(watch_->epoll, operation, fd, &event) < 0 ? -errno : 0);
}

Napi::Value Poller::add(const Napi::CallbackInfo& info) {
  return control(info, EPOLL_CTL_ADD);
}

Napi::Value Poller::modify(const Napi::CallbackInfo& info) {
  return control(info, EPOLL_CTL_MOD);
}

Napi::Value Poller::remove(const Napi::CallbackInfo& info) {
  return control(info, EPOLL_CTL_DEL);
}

void Poller::ref(const Napi::CallbackInfo&) {
  if (watch_) uv_ref(reinterpret_cast<uv_handle_t*>(&watch_->handle));
}

void Poller::unref(const Napi::CallbackInfo&) {
  if (watch_) uv_unref(reinterpret_cast<uv_handle_t*>(&watch_->handle));
}

void Poller::close(const Napi::CallbackInfo&) {
  end();
}
